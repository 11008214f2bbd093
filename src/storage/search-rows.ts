import type { Queryable } from './database.ts';
import { isLimited } from './organization-limit.ts';

/** Text by which the rows of a list are searched. */
export type Search = {
  /** SQL expression for the words of a row, as an indexed tsvector. */
  words: string;
  /** SQL expression for the text of those words, if they are not stored. Comparing it is faster than making the words. */
  walkedText?: string;
  /** Searched text. */
  text: string;
  /** Returns a condition for rows that match the whole text in another way, given its placeholder. */
  exact?: (text: string) => string;
};

/** The rows of a page, in SQL. */
export type Rows = {
  table: string;
  /** Placeholder for the ids of the only rows that are listed, if they are already known. */
  among?: string | undefined;
  where: string;
  /** Placeholder for the number of rows. */
  limit: string;
  /** SQL expression that the rows are sorted by. */
  key: string;
  direction: 'ASC' | 'DESC';
  /** Returns the condition for rows after the position, given the expression that they are sorted by. */
  isBeyond(key: string): string;
};

/** A search whose text is bound. @property placeholder stands for the text. */
type BoundSearch = Search & { placeholder: string };

/** Number of rows that are compared with the text one by one before the word index is used. */
export const maxWalked = 2_000;
/** Largest number of rows that are compared one by one in one request if every word of the text is common. */
const maxWalkedOfCommon = 20_000;
/** Estimated number of rows with a word up to which all of them are read by the word index. */
const maxIndexed = 10_000;
/** Tables of which `own_with_words` has an index by organization. For operators of one, words of the others count as common. */
const tablesWithOwnWords: ReadonlySet<string> = new Set(['clients', 'contacts']);
/** Number of pages of a table whose rows are counted to estimate how common a word is. */
const sampledPages = 48;

/** Returns how many rows are compared for a page of `limit` rows if every word is common: fewer for a short page. */
export function walkedOfCommon(limit: number): number {
  return Math.min(maxWalkedOfCommon, Math.max(maxWalked, 400 * limit));
}

/** SQL literal of the regular expression for what `words_of` splits a text at, and for its beginning. */
const beforeWord = '$re$(^|[] \\t\\r\\n!"#$%&\'()*+,./:;<=>?@[\\\\^_`{|}~…-])$re$';

/**
 * Returns the table of a page, or the rows of it that are known by their ids. LIMIT keeps the planner from reading the
 * whole table when there are many ids.
 */
export function rowsOf({ table, among }: Pick<Rows, 'table' | 'among'>): string {
  if (among === undefined) return table;
  return `(
    SELECT one.* FROM unnest(${among}::uuid[]) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM ${table} t WHERE t.id = asked.id LIMIT 1) one
  ) ${table}`;
}

/**
 * Returns a query for the matches among the first rows that pass the filters, in the order of the list. PostgreSQL reads
 * a materialized subquery only as far as it is used, so the query stops at the limit of the page. Every row of the result
 * has the columns `cut_id` and `cut_value`: the last row that was compared, if the limit was not reached within `most`
 * rows. The result has one row without an id if no row matches.
 */
export function walkedRows(rows: Rows, search: BoundSearch, most: number): string {
  const { table, limit } = rows;
  return `
    WITH first AS MATERIALIZED (${firstRows(rows, search, most)}
    ), walked AS MATERIALIZED (SELECT id FROM first WHERE matches LIMIT ${limit}
    ), cut AS MATERIALIZED (
      SELECT id, sort_key FROM first WHERE (SELECT count(*) FROM walked) < ${limit}::bigint OFFSET ${most - 1}
    )
    SELECT a.*, cut.id AS cut_id, cut.sort_key AS cut_value
    FROM (SELECT) one LEFT JOIN cut ON true LEFT JOIN (walked JOIN ${table} a USING (id)) ON true`;
}

/** Returns a query for the first rows in the order of the list, and whether each matches the text. */
export function firstRows(rows: Rows, search: BoundSearch, most: number): string {
  const { where, key, direction, isBeyond } = rows;
  const { placeholder, exact } = search;
  const matches = `${matchOf(search, placeholder)}${exact ? ` OR ${exact(placeholder)}` : ''}`;
  return `SELECT id, ${key} AS sort_key, ${matches} AS matches FROM (
      SELECT * FROM ${rowsOf(rows)} WHERE ${where} AND ${isBeyond(key)} ORDER BY ${key} ${direction}, id ${direction} LIMIT ${most}
    ) n`;
}

/**
 * Returns a query for the first rows that match the text, among all rows that have a word by the word index.
 * @param word placeholder for this word.
 */
export function indexedRows(rows: Rows, search: BoundSearch, word: string): string {
  return `SELECT a.* FROM (${indexedIds(rows, search, word)}) page JOIN ${rows.table} a USING (id)`;
}

/** Returns a query for the ids of `indexedRows`. Reading the rows too can make the planner scan the whole table. */
export function indexedIds(rows: Rows, search: BoundSearch, word: string): string {
  const { table, where, key, direction, isBeyond, limit } = rows;
  const { words, placeholder, exact } = search;
  const tail = `WHERE ${isBeyond('sort_key')} ORDER BY sort_key ${direction}, id ${direction} LIMIT ${limit}`;
  // OFFSET 0 keeps the planner from walking the whole table in list order instead of using the word index. The position
  // is compared outside, because the planner would read the index of the order up to it.
  const rest = `${matchOf(search, placeholder)} AND ${where} OFFSET 0`;
  const anyone = `SELECT id, ${key} AS sort_key FROM ${rowsOf(rows)} WHERE ${words} @@ begins_words(${word}::text)`;
  const own = `SELECT id, ${key} AS sort_key FROM own_with_words('${table}', ${word}) AS found (id) JOIN ${table} USING (id)`;
  // Only one of the two is executed, because row-level security prevents the use of the word index.
  const indexed = tablesWithOwnWords.has(table)
    ? `(${anyone} AND NOT ${isLimited} AND ${rest}) UNION ALL (${own} WHERE ${isLimited} AND ${rest})`
    : `${anyone} AND ${rest}`;
  const exactly = exact && `SELECT id, ${key} FROM ${rowsOf(rows)} WHERE ${exact(placeholder)} AND ${where}`;
  const limited = `SELECT * FROM (${indexed}) i ${tail}`;
  const all = exactly ? `(${limited}) UNION ${exactly}` : limited;
  return `SELECT id FROM (${all}) f ${tail}`;
}

/**
 * Returns the word of the text that the fewest rows have, by an estimate; undefined if all words are common. The word
 * index reads all rows with a word before the first one is returned, so its cost is bounded only for rare words. The
 * estimate counts the rows in some pages of the table, because statistics are not available to every role.
 */
export async function findRarestWord(
  database: Queryable,
  { table, search, among }: { table: string; search: Search; among?: string | undefined },
): Promise<string | undefined> {
  if (among !== undefined) return search.text;
  const pages = `greatest(1, pg_relation_size('${table}') / current_setting('block_size')::integer)`;
  const sampledMatch =
    search.walkedText === undefined
      ? 'ts_match_vq(sampled, query)'
      : `lower(sampled) LIKE '%' || word || '%' AND lower(sampled) ~ (${beforeWord} || word)`;
  const [rarest] = await database.query<{ word: string; rows: number; has_index: boolean }>(
    `WITH sampled AS MATERIALIZED (
       SELECT ${search.walkedText ?? search.words} AS sampled FROM ${table}
       TABLESAMPLE SYSTEM (least(100, 100.0 * ${sampledPages} / ${pages})) REPEATABLE (0)
     )
     SELECT word, ${tablesWithOwnWords.has(table) ? 'true' : `NOT ${isLimited}`} AS has_index, greatest(1, ${pages}::float8 / ${sampledPages}) * (
       SELECT count(*) FROM sampled WHERE ${sampledMatch}
     ) AS rows
     FROM (SELECT word, begins_words(word) AS query FROM unnest(words_of($1)) word OFFSET 0) w ORDER BY rows LIMIT 1`,
    [search.text],
  );
  // A text without words can only match as a whole.
  if (!rarest) return '';
  return rarest.rows <= maxIndexed && rarest.has_index ? rarest.word : undefined;
}

/** Returns a condition for rows that have all words of a text. It cannot use the word index. */
function matchOf({ words, walkedText }: Search, text: string): string {
  const query = `begins_words(${text}::text)`;
  // The function of the operator cannot use the word index, so the rows are walked.
  if (walkedText === undefined) return `ts_match_vq(${words}, ${query})`;
  const all = (pattern: string) => `ALL (ARRAY(SELECT ${pattern} FROM unnest(words_of(${text}::text)) each))`;
  // LIKE is a faster comparison, which few rows pass. A word has no character with a meaning in a pattern.
  return `(${query} IS NOT NULL AND lower(${walkedText}) LIKE ${all(`'%' || each || '%'`)}
    AND lower(${walkedText}) ~ ${all(`${beforeWord} || each`)})`;
}
