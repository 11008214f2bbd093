import type { Queryable, Row } from './database.ts';

type Search = {
  /** SQL expression for the words of a row, as an indexed tsvector. */
  words: string;
  /** SQL expression for the text of those words, if they are not stored. Comparing it is faster than making the words. */
  walkedText?: string;
  /** Placeholder for the searched text. */
  text: string;
  /** Returns a condition for rows that match the whole text in another way. */
  exact?: (text: string) => string;
};

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
};

/** A row, by the value of the column that the list is sorted by. */
type Position = { value: Date | string; id: string };

export type Page = {
  table: string;
  where: readonly string[];
  slice: Slice;
  search?: Search | undefined;
  /** Placeholder for the ids of the only rows that are listed, if they are already known. */
  among?: string | undefined;
};

type Rows = Omit<Page, 'where' | 'slice'> & {
  where: string;
  /** Placeholder for the number of rows. */
  limit: string;
  /** SQL expression that the rows are sorted by. */
  key: string;
  direction: 'ASC' | 'DESC';
  /** Returns the condition for rows after the position, given the expression that they are sorted by. */
  isBeyond(key: string): string;
};

/** Number of rows that are compared with the text one by one, which takes a few milliseconds. */
const maxWalked = 2_000;

/** Regular expression for what `words_of` splits a text at, and for its beginning. */
const beforeWord = '(^|[] \\t\\r\\n!"#$%&\'()*+,./:;<=>?@[\\\\^_`{|}~…-])';

/**
 * Selects one page of a table, optionally limited to rows with words that begin with the words of a text.
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
  const { slice, where, ...rest } = page;
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const { sort = '-created_at', limit, after, before } = slice;
  const isDescending = sort.startsWith('-') === (before === undefined);
  const direction = isDescending ? 'DESC' : 'ASC';
  const key = sort.endsWith('name') ? 'lower(name)' : 'created_at';
  const from = before ?? after;
  const value =
    from && (key === 'created_at' ? `${bind(from.value)}::timestamptz` : `lower(${bind(from.value)}::text)`);
  const position = from && `${isDescending ? '<' : '>'} (${value}, ${bind(from.id)}::uuid)`;
  const query = queryOf({
    ...rest,
    key,
    direction,
    isBeyond: (sorted) => (position ? `(${sorted}, id) ${position}` : 'true'),
    where: ['true', ...where].join(' AND '),
    limit: bind(limit + 1),
  });
  const order = `ORDER BY ${key.replace(/created_at|name/, 'page.$&')} ${direction}, page.id ${direction}`;
  return await database.query<R>(select(query, order), parameters);
}

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
  const limit = `$${parameters.push(maxCounted + 1)}`;
  const { search } = page;
  const rows: Rows = {
    ...page,
    where: ['true', ...page.where].join(' AND '),
    limit,
    key: 'created_at',
    direction: 'DESC',
    isBeyond: () => 'true',
  };
  const counted = (query: string) => `(SELECT count(*) FROM (${query}) c)`;
  const [row] = await database.query<{ count: number; has_more: boolean }>(
    search
      ? `WITH first AS MATERIALIZED (${firstRows(rows, search)}), seen AS MATERIALIZED (
           SELECT count(*) FILTER (WHERE matches) AS matching, count(*) > ${maxWalked} AS is_cut FROM first
         )
         SELECT CASE WHEN is_cut AND matching < ${enoughMatches} THEN ${counted(found(rows, search, `LIMIT ${limit}`))} ELSE matching END AS count,
           is_cut AND matching >= ${enoughMatches} AS has_more FROM seen`
      : `SELECT ${counted(queryOf(rows))} AS count, false AS has_more`,
    parameters,
  );
  const { count = 0, has_more: hasMore = false } = row ?? {};
  return { count: Math.min(count, maxCounted), hasMore: hasMore || count > maxCounted };
}

function queryOf(rows: Rows): string {
  const { where, limit, search, key, direction, isBeyond } = rows;
  return search
    ? searchedRows(rows, search)
    : `SELECT * FROM ${rowsOf(rows)} WHERE ${where} AND ${isBeyond(key)} ORDER BY ${key} ${direction}, id ${direction} LIMIT ${limit}`;
}

/**
 * Returns the table of a page, or the rows of it that are known by their ids. LIMIT keeps the planner from reading the
 * whole table when there are many ids.
 */
function rowsOf({ table, among }: Rows): string {
  if (among === undefined) return table;
  return `(
    SELECT one.* FROM unnest(${among}::uuid[]) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM ${table} t WHERE t.id = asked.id LIMIT 1) one
  ) ${table}`;
}

/**
 * Returns a query for the rows of a page that match a text. If many rows match, walking the first rows that pass the
 * filters soon finds a page of them; if few rows pass the filters, the walk sees all of them. Otherwise the word index
 * finds all matches and they are sorted. The planner cannot know which is the case, so the statement decides while it
 * runs: PostgreSQL reads a materialized subquery only as far as it is used.
 */
function searchedRows(page: Rows, search: Search): string {
  const { table, limit, direction, isBeyond } = page;
  const tail = `ORDER BY sort_key ${direction}, id ${direction} LIMIT ${limit}`;
  const beyond = `WHERE ${isBeyond('sort_key')} ${tail}`;
  return `
    WITH first AS MATERIALIZED (${firstRows(page, search)}
    ), walked AS MATERIALIZED (SELECT id FROM first WHERE matches LIMIT ${limit}
    ), decided AS MATERIALIZED (
      SELECT CASE WHEN (SELECT count(*) FROM walked) = ${limit}::bigint THEN true
        ELSE (SELECT count(*) FROM first) <= ${maxWalked} END AS by_walk
    )
    SELECT a.* FROM (
      SELECT id FROM walked WHERE (SELECT by_walk FROM decided)
      UNION ALL
      (SELECT id FROM (${found(page, search, beyond)}) f WHERE NOT (SELECT by_walk FROM decided) AND ${isBeyond('sort_key')} ${tail})
    ) page JOIN ${table} a USING (id)`;
}

/** Returns a query for the first rows in the order of the list, and whether each matches the text. */
function firstRows(page: Rows, search: Search): string {
  const { where, key, direction, isBeyond } = page;
  const { text, exact } = search;
  const matches = `${matchOf(search, wordsOf(search))}${exact ? ` OR ${exact(text)}` : ''}`;
  return `SELECT id, ${matches} AS matches FROM (
      SELECT * FROM ${rowsOf(page)} WHERE ${where} AND ${isBeyond(key)} ORDER BY ${key} ${direction}, id ${direction} LIMIT ${maxWalked + 1}
    ) n`;
}

/** Returns a query for the rows that match the text, from the word index. @param tail clauses that limit them. */
function found(page: Rows, search: Search, tail: string): string {
  const { where, key } = page;
  const { words, text, exact } = search;
  const rows = rowsOf(page);
  // OFFSET 0 keeps the planner from walking the whole table in list order instead of using the word index. The position
  // is compared outside, because the planner would read the index of the order up to it.
  const indexed = `SELECT id, ${key} AS sort_key FROM ${rows} WHERE ${words} @@ ${wordsOf(search)} AND ${where} OFFSET 0`;
  const exactly = exact && `SELECT id, ${key} FROM ${rows} WHERE ${exact(text)} AND ${where}`;
  const limited = `SELECT * FROM (${indexed}) i ${tail}`;
  return exactly ? `(${limited}) UNION ${exactly}` : limited;
}

function wordsOf({ text }: Search): string {
  return `begins_words(${text}::text)`;
}

function matchOf({ words, walkedText, text }: Search, query: string): string {
  // The function of the operator cannot use the word index, so the rows are walked.
  if (walkedText === undefined) return `ts_match_vq(${words}, ${query})`;
  const patterns = `ARRAY(SELECT $re$${beforeWord}$re$ || word FROM unnest(words_of(${text}::text)) word)`;
  return `(${query} IS NOT NULL AND lower(${walkedText}) ~ ALL (${patterns}))`;
}
