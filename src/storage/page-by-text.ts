import type { Queryable, Row } from './database.ts';
import { createdKey, ownCreated } from './organization-limit.ts';
import {
  findRarestWord,
  firstRows,
  indexedIds,
  indexedRows,
  maxWalked,
  type Rows,
  rowsOf,
  type Search,
  walkedOfCommon,
  walkedRows,
} from './search-rows.ts';

/** Orders of a list: by creation or by name; `-` stands for descending. */
export const sorts = ['-created_at', 'created_at', 'name', '-name'] as const;
export type Sort = (typeof sorts)[number];

/** Which rows of a list a page has. */
export type Slice = {
  /** The default is newest first. */
  sort?: Sort | undefined;
  limit: number;
  /** The page begins after this row, which is the last one of the page before. */
  after?: Position | undefined;
  /** The page ends before this row. Its rows are returned in reverse. */
  before?: Position | undefined;
  /**
   * Called if a search ends before it has found a page of rows, with the last row that it has compared. The next page
   * begins after this row.
   */
  onCut?: ((at: Position) => void) | undefined;
};

/** A row, by the value of the column that the list is sorted by. */
export type Position = { value: Date | string; id: string };

export type Page = {
  table: string;
  where: readonly string[];
  slice: Slice;
  search?: Search | undefined;
  /** Whether only rows of one organization are listed. */
  isOfOrganization?: boolean;
  /** Placeholder for the ids of the only rows that are listed, if they are already known. */
  among?: string | undefined;
};

/**
 * Selects one page of a table, optionally limited to rows with words that begin with the words of a text. Such a search
 * reads a bounded number of rows. If it ends before it has found a page of them, it calls `slice.onCut`.
 * @param select returns the statement for a page, given the query for its rows and its ORDER BY clause. It names the
 *   rows `page`.
 * @param parameters values of the placeholders so far. Those of the page are added.
 * @returns one row more than the limit if there is another page.
 */
export async function selectPage<R extends Row>(
  database: Queryable,
  page: Page,
  { select, parameters }: { select: (page: string, order: string) => string; parameters: unknown[] },
): Promise<R[]> {
  const { slice, where, search, ...rest } = page;
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const { sort = '-created_at', limit, after, before } = slice;
  const isDescending = sort.startsWith('-') === (before === undefined);
  const direction = isDescending ? 'DESC' : 'ASC';
  const isByName = sort.endsWith('name');
  const key = isByName ? 'lower(name)' : keyOf(page);
  const from = before ?? after;
  const value = from && (isByName ? `lower(${bind(from.value)}::text)` : `${bind(from.value)}::timestamptz`);
  const position = from && `${isDescending ? '<' : '>'} (${value}, ${bind(from.id)}::uuid)`;
  const rows: Rows = {
    ...rest,
    key,
    direction,
    isBeyond: (sorted) => (position ? `(${sorted}, id) ${position}` : 'true'),
    where: ['true', ...where].join(' AND '),
    limit: bind(limit + 1),
  };
  const order = `ORDER BY ${isByName ? 'lower(page.name)' : 'page.created_at'} ${direction}, page.id ${direction}`;
  const run = <S extends Row>(query: string) => database.query<S>(select(query, order), parameters);
  if (!search) return await run<R>(listedRows(rows));

  const bound = { ...search, placeholder: bind(search.text) };
  const walk = async (most: number) => {
    const found = await run<R & Cut>(walkedRows(rows, bound, most));
    const [first] = found;
    return {
      found: found.filter(({ id }) => id !== null),
      cut: first?.cut_id ? { value: first.cut_value, id: first.cut_id } : undefined,
    };
  };
  const first = await walk(maxWalked);
  if (!first.cut) return first.found;
  const word = await findRarestWord(database, { ...page, search });
  if (word !== undefined) return await run<R>(indexedRows(rows, bound, bind(word)));
  const { found, cut } = await walk(walkedOfCommon(limit));
  if (cut) slice.onCut?.(cut);
  return found;
}

/** The last row that a search has compared, if it ended before it had found a page of rows. */
type Cut = { id: string | null; cut_id: string | null; cut_value: Date | string };

/** Largest number to which the rows of a list are counted. */
export const maxCounted = 1_000;

/** Number of matches among the first rows from which on the other matches of a text are not counted. */
const enoughMatches = 50;

/** How many rows a list has on all pages. */
export type Total = { count: number; hasMore: boolean };

/**
 * Counts the rows of all pages of a list, as far as that is fast: up to 1,000 rows, and of the matches of a common word
 * only those among the first 2,000 rows.
 * @param describe returns what the list has, and adds the values of its placeholders to the parameters.
 */
export async function countRows(
  database: Queryable,
  describe: (parameters: unknown[]) => Omit<Page, 'slice'>,
): Promise<Total> {
  const parameters: unknown[] = [];
  const page = describe(parameters);
  const { search } = page;
  const limit = `$${parameters.push(maxCounted + 1)}`;
  const rows: Rows = {
    ...page,
    where: ['true', ...page.where].join(' AND '),
    limit,
    key: keyOf(page),
    direction: 'DESC',
    isBeyond: () => 'true',
  };
  const count = async (query: string): Promise<Total> => {
    const [row] = await database.query<{ count: number }>(`SELECT count(*) FROM (${query}) c`, parameters);
    const { count: counted = 0 } = row ?? {};
    return { count: Math.min(counted, maxCounted), hasMore: counted > maxCounted };
  };
  if (!search) return await count(listedRows(rows));
  const bound = { ...search, placeholder: `$${parameters.push(search.text)}` };
  const [walked] = await database.query<{ matching: number; is_cut: boolean }>(
    // The number of all matches is limited too, so that PostgreSQL knows the type of the placeholder.
    `SELECT least(count(*) FILTER (WHERE matches), ${limit}) AS matching, count(*) = ${maxWalked} AS is_cut
     FROM (${firstRows(rows, bound, maxWalked)}) first`,
    parameters,
  );
  const { matching = 0, is_cut: isCut = false } = walked ?? {};
  const word = isCut && matching < enoughMatches ? await findRarestWord(database, { ...page, search }) : undefined;
  if (word === undefined) return { count: Math.min(matching, maxCounted), hasMore: isCut || matching > maxCounted };
  return await count(indexedIds(rows, bound, `$${parameters.push(word)}`));
}

/** Returns the SQL expression by which a list is sorted by creation. */
function keyOf({ isOfOrganization }: Pick<Page, 'isOfOrganization'>): string {
  return isOfOrganization ? ownCreated : createdKey();
}

function listedRows(rows: Rows): string {
  const { where, limit, key, direction, isBeyond } = rows;
  return `SELECT * FROM ${rowsOf(rows)} WHERE ${where} AND ${isBeyond(key)} ORDER BY ${key} ${direction}, id ${direction} LIMIT ${limit}`;
}
