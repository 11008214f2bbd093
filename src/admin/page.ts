import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { KeyRing } from '../credentials/key-ring.ts';
import { KeyturnError } from '../errors.ts';
import type { Answer } from './endpoint.ts';

const maxLimit = 200;

/** What every list takes. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(maxLimit))
    .default(50)
    .meta({ description: 'Items a page', override: { type: 'integer', minimum: 1, maximum: maxLimit, default: 50 } }),
  cursor: z.string().max(500).optional().meta({ description: '`next_cursor` of the page before' }),
};

export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ data: z.array(item), next_cursor: z.string().nullable() });
}

/**
 * A list's cursors. They say where a page ended and are authenticated, so that what comes back is what was given out, for
 * this list; they give no access to anything.
 */
export function createPager<Position extends z.ZodType>(ring: KeyRing, list: string, position: Position) {
  const mac = (version: string, payload: string): Buffer | undefined => {
    const key = ring.key('cursor', version);
    return (
      key &&
      createHmac('sha256', key)
        .update(JSON.stringify([list, version, payload]))
        .digest()
    );
  };
  return {
    /** @throws {KeyturnError} `invalid_cursor` for anything that this list has not given out. */
    open(cursor: string | undefined): z.output<Position> | undefined {
      if (cursor === undefined) return undefined;
      const [version = '', payload = '', given = '', ...rest] = cursor.split('.');
      const expected = mac(version, payload);
      const actual = Buffer.from(given, 'base64url');
      const isOurs = rest.length === 0 && expected?.length === actual.length && timingSafeEqual(expected, actual);
      if (!isOurs) throw new KeyturnError('invalid_cursor', 400, 'The cursor is not one that this list has given out.');
      return position.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
    },
    /**
     * @param rows one more than `limit` where there is another page.
     * @param positionOf of the last row that is shown.
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
        nextCursor = `${ring.current}.${payload}.${mac(ring.current, payload)?.toString('base64url')}`;
      }
      return { status: 200, body: { data: shown.map(present), next_cursor: nextCursor } };
    },
  };
}

/** Where a list of things stands that is ordered by when they were made. */
export const createdPosition = z.strictObject({
  created_at: z.iso.datetime().transform((text) => new Date(text)),
  id: z.uuid(),
});
