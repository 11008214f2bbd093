import { z } from 'zod';
import type { KeyRing } from '../credentials/key-ring.ts';
import { readSignedValue, signValue } from '../credentials/signed-value.ts';
import { KeyturnError } from '../errors.ts';
import type { Answer } from './idempotency.ts';
import { queryNumber } from './text.ts';

const maxLimit = 200;

/** Query parameters of every list. */
export const pageQuery = {
  limit: queryNumber(maxLimit, 50, 'The maximum number of items on a page.'),
  cursor: z
    .string()
    .max(500)
    .optional()
    .meta({ description: 'The `next_cursor` of the previous page. Omit it for the first page.' }),
};

export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    data: z.array(item).meta({ description: 'The items of this page.' }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'The `cursor` of the next page. Null: this is the last page.' }),
  });
}

/**
 * Creates the cursors of a list. A cursor holds the position of a page's last row and a MAC, so that a list accepts
 * only cursors that it has issued. A cursor grants no access.
 */
export function createPager<Position extends z.ZodType>(ring: KeyRing, list: string, position: Position) {
  return {
    /**
     * Returns the position in a cursor, or undefined without a cursor.
     * @throws {KeyturnError} `invalid_cursor` if this list has not issued the cursor.
     */
    open(cursor: string | undefined): z.output<Position> | undefined {
      if (cursor === undefined) return undefined;
      const payload = readSignedValue(ring, 'cursor', list, cursor);
      if (payload === undefined) {
        throw new KeyturnError('invalid_cursor', 400, 'cursor: must be a `next_cursor` of this list.');
      }
      return position.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
    },
    /**
     * Builds the response for one page.
     * @param rows `limit` + 1 rows if another page follows.
     * @param positionOf returns the position of a row. It is called with the last row of the page.
     */
    answer<Row>(
      rows: readonly Row[],
      limit: number,
      present: (row: Row) => unknown,
      positionOf: (row: Row) => z.input<Position>,
    ): Answer {
      const shown = rows.slice(0, limit);
      const last = rows.length > limit ? shown.at(-1) : undefined;
      let nextCursor: string | null = null;
      if (last !== undefined) {
        const payload = Buffer.from(JSON.stringify(positionOf(last))).toString('base64url');
        nextCursor = signValue(ring, 'cursor', list, payload);
      }
      return { status: 200, body: { data: shown.map(present), next_cursor: nextCursor } };
    },
  };
}

/** Position in a list that is ordered by creation time. */
export const createdPosition = z.strictObject({
  created_at: z.iso.datetime().transform((text) => new Date(text)),
  id: z.uuid(),
});
