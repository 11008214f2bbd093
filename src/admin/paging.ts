import { z } from 'zod';
import type { KeyRing } from '../credentials/key-ring.ts';
import { readSignedValue, signValue } from '../credentials/signed-value.ts';
import { KeyturnError } from '../errors.ts';
import {
  maxCounted,
  type Position as RowPosition,
  type Slice,
  type Sort,
  sorts,
  type Total,
} from '../storage/page-by-text.ts';
import type { Answer } from './idempotency.ts';
import { queryNumber } from './text.ts';

const maxLimit = 200;

/** Query parameters of every list. */
export const pageQuery = {
  limit: queryNumber(maxLimit, 50, 'The maximum number of items on a page.'),
  cursor: z.string().max(2_000).optional().meta({
    description:
      'The `next_cursor` or `previous_cursor` of another page with the same filters and order. Omit it for the first page.',
  }),
};

/** Query parameter that adds the number of items to the answer. */
export const countQuery = {
  count: z
    .enum(['true'])
    .optional()
    .meta({ description: 'Whether the answer contains `total`, the number of items on all pages.' }),
};

/** Query parameters of a list that is sorted by creation or by name. */
export const sortedQuery = {
  ...pageQuery,
  ...countQuery,
  order: z
    .enum(sorts)
    .default('-created_at')
    .meta({ description: 'The order: by creation or by name. `-` stands for descending.' }),
};

const totalSchema = z
  .strictObject({
    count: z.int().meta({ description: `The number of items that were counted, at most ${maxCounted}.` }),
    has_more: z
      .boolean()
      .meta({ description: 'Whether there are more items. Matches of a common word are not all counted.' }),
  })
  .meta({ id: 'Total', description: 'The number of items on all pages of a list.' });

export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    data: z.array(item).meta({
      description:
        'The items of this page. A search for a common word ends after some thousand comparisons: its pages can have fewer items than `limit`, or none, while `next_cursor` continues the search.',
    }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'The `cursor` of the next page. Null: this is the last page.' }),
    previous_cursor: z
      .string()
      .optional()
      .meta({ description: 'The `cursor` of the previous page. Absent: this is the first page.' }),
    total: totalSchema.optional(),
  });
}

/** Whether the page of a cursor ends before the row of the cursor, instead of beginning after it. */
const isPrevious = z.literal(true).optional();

/** The page that a request asks for, as `open` has read it from its cursor. */
type Opened<Position> = { after?: Position; before?: Position };

/**
 * Creates the cursors of a list. A cursor holds the position of a page's first or last row and a MAC, so that a list
 * accepts only cursors that it has issued. A cursor grants no access.
 * @param list name of the list, unique to each of its orders.
 */
export function createPager<Shape extends z.ZodRawShape>(ring: KeyRing, list: string, position: z.ZodObject<Shape>) {
  type Position = z.output<typeof position>;
  type Written = z.input<typeof position>;
  const payload = z.strictObject({ row: position, previous: isPrevious });

  function sign(row: Written, previous?: true): string {
    const text = JSON.stringify({ row, previous } satisfies { row: unknown; previous: unknown });
    return signValue(ring, 'cursor', list, Buffer.from(text).toString('base64url'));
  }

  return {
    /**
     * Returns the position in a cursor: the row that the page begins after, or the row that it ends before.
     * @throws {KeyturnError} `invalid_cursor` if this list has not issued the cursor.
     */
    open(cursor: string | undefined): Opened<Position> {
      if (cursor === undefined) return {};
      const text = readSignedValue(ring, 'cursor', list, cursor);
      const read = text === undefined ? undefined : readPosition(text);
      if (read === undefined) {
        throw new KeyturnError(
          'invalid_cursor',
          400,
          'cursor: must be a `next_cursor` or `previous_cursor` of this list, in the same order.',
        );
      }
      return read.previous ? { before: read.row } : { after: read.row };
    },
    /**
     * Builds the response for one page.
     * @param rows `limit` + 1 rows if another page follows in the direction of the cursor; in reverse if the page ends
     *   before a row.
     * @param page the number of rows, and what `open` has returned; `cut` is the last row that was compared, if a search
     *   ended before it had found that many rows; `back` is where the page in the opposite direction begins if this page
     *   has no rows.
     * @param positionOf returns the position of a row. It is called with the first and last row of the page.
     * @param total number of rows on all pages, if it was asked for.
     */
    answer<Row>(
      rows: readonly Row[],
      page: Opened<unknown> & { limit: number; cut?: Written | undefined; back?: Written | undefined },
      present: (row: Row) => unknown,
      positionOf: (row: Row) => Written,
      total?: Total,
    ): Answer {
      const { limit, after, before, cut, back } = page;
      const isReverse = before !== undefined;
      const isCut = rows.length > limit || cut !== undefined;
      const kept = rows.slice(0, limit);
      const shown = isReverse ? kept.reverse() : kept;
      const at = (row: Row | undefined): Written | undefined => (row === undefined ? undefined : positionOf(row));
      const [first, last] = [at(shown[0]), at(shown.at(-1))];
      const hasPrevious = isReverse ? isCut : after !== undefined;
      const [toNext] = (isReverse ? [last, cut, back] : [cut, last]).filter((each) => each !== undefined);
      const [toPrevious] = (isReverse ? [cut, first] : [first, cut, back]).filter((each) => each !== undefined);
      const next: Written | undefined = isReverse || isCut ? toNext : undefined;
      const previous: Written | undefined = hasPrevious ? toPrevious : undefined;
      return {
        status: 200,
        body: {
          data: shown.map(present),
          next_cursor: next === undefined ? null : sign(next),
          ...(previous === undefined ? {} : { previous_cursor: sign(previous, true) }),
          ...(total ? { total: { count: total.count, has_more: total.hasMore } } : {}),
        },
      };
    },
  };

  function readPosition(text: string): { row: Position; previous?: true | undefined } | undefined {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    // Cursors of versions without previous pages are the position itself.
    const old = position.safeParse(value);
    return old.success ? { row: old.data as Position } : (payload.parse(value) as { row: Position; previous?: true });
  }
}

const createdPosition = z.strictObject({
  created_at: z.iso.datetime().transform((text) => new Date(text)),
  id: z.uuid(),
});
const namedPosition = z.strictObject({ name: z.string(), id: z.uuid() });

/** The smallest and the largest id. */
const nil = '00000000-0000-0000-0000-000000000000';
const max = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** The rows of an opened page. @property search receives the last row that a search has compared, if it ended early. */
type OpenedSlice = Slice & { search: { cut?: RowPosition } };

/** Creates the cursors of a list that is sorted by creation or by name. */
export function createSortedPager(ring: KeyRing, list: string) {
  const byCreation = (sort: Sort) =>
    createPager(ring, sort === '-created_at' ? list : `${list} ${sort}`, createdPosition);
  const byName = (sort: Sort) => createPager(ring, `${list} ${sort}`, namedPosition);

  return {
    /** Returns the rows of the page that a request asks for. @throws {KeyturnError} `invalid_cursor`. */
    open({ order: sort, limit, cursor }: { order: Sort; limit: number; cursor?: string | undefined }): OpenedSlice {
      const isByName = sort.endsWith('name');
      const opened = isByName ? byName(sort).open(cursor) : byCreation(sort).open(cursor);
      const at = (position: { id: string; name?: string; created_at?: Date } | undefined) =>
        position && { id: position.id, value: position.name ?? (position.created_at as Date) };
      const search: OpenedSlice['search'] = {};
      const onCut = (row: RowPosition) => {
        search.cut = row;
      };
      return { sort, limit, after: at(opened.after), before: at(opened.before), onCut, search };
    },
    /** Builds the response for one page, as the `answer` of other lists does. */
    answer<Row>(
      rows: readonly Row[],
      slice: OpenedSlice,
      present: (row: Row) => unknown,
      rowOf: (row: Row) => { id: string; name: string; createdAt: Date },
      total?: Total,
    ): Answer {
      const { sort = '-created_at', search, after, before } = slice;
      const from = after ?? before;
      // The page in the opposite direction has the row of the cursor itself, and others of the same date or name.
      const back = from && { ...from, id: sort.startsWith('-') === (after !== undefined) ? nil : max };
      if (!sort.endsWith('name')) {
        const position = (row: RowPosition) => ({ created_at: (row.value as Date).toISOString(), id: row.id });
        const page = { ...slice, cut: search.cut && position(search.cut), back: back && position(back) };
        const positionOf = ({ id, createdAt }: ReturnType<typeof rowOf>) => position({ id, value: createdAt });
        return byCreation(sort).answer(rows, page, present, (row) => positionOf(rowOf(row)), total);
      }
      const position = (row: RowPosition) => ({ name: row.value as string, id: row.id });
      const page = { ...slice, cut: search.cut && position(search.cut), back: back && position(back) };
      const positionOf = ({ id, name }: ReturnType<typeof rowOf>) => position({ id, value: name });
      return byName(sort).answer(rows, page, present, (row) => positionOf(rowOf(row)), total);
    },
  };
}
