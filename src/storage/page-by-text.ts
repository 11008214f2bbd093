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

export type Page = {
  table: string;
  where: string;
  /** Placeholder for the number of rows. */
  limit: string;
  search?: Search | undefined;
  /** Placeholder for the ids of the only rows that are listed, if they are already known. */
  among?: string | undefined;
};

/** Number of rows that are compared with the text one by one, which takes a few milliseconds. */
const maxWalked = 2_000;

/** Regular expression for what `words_of` splits a text at, and for its beginning. */
const beforeWord = '(^|[] \\t\\r\\n!"#$%&\'()*+,./:;<=>?@[\\\\^_`{|}~…-])';

const order = 'ORDER BY created_at DESC, id DESC';

/**
 * Selects one page of a table, newest first, optionally limited to rows with words that begin with the words of a text.
 * @param select returns the statement for a page, given the query for its rows.
 */
export async function selectPage<R extends Row>(
  database: Queryable,
  page: Page,
  { select, parameters }: { select: (page: string) => string; parameters: readonly unknown[] },
): Promise<R[]> {
  const { where, limit, search } = page;
  const rows = search
    ? searchedRows(page, search)
    : `SELECT * FROM ${rowsOf(page)} WHERE ${where} ${order} LIMIT ${limit}`;
  return await database.query<R>(select(rows), parameters);
}

/**
 * Returns the table of a page, or the rows of it that are known by their ids. LIMIT keeps the planner from reading the
 * whole table when there are many ids.
 */
function rowsOf({ table, among }: Page): string {
  if (among === undefined) return table;
  return `(
    SELECT one.* FROM unnest(${among}::uuid[]) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM ${table} t WHERE t.id = asked.id LIMIT 1) one
  ) ${table}`;
}

/**
 * Returns a query for the rows of a page that match a text. If many rows match, walking the newest rows that pass the
 * filters soon finds a page of them; if few rows pass the filters, the walk sees all of them. Otherwise the word index
 * finds all matches and they are sorted. The planner cannot know which is the case, so the statement decides while it
 * runs: PostgreSQL reads a materialized subquery only as far as it is used.
 */
function searchedRows(page: Page, search: Search): string {
  const { table, where, limit } = page;
  const rows = rowsOf(page);
  const { text, words, exact } = search;
  const query = `begins_words(${text}::text)`;
  const matches = `${matchOf(search, query)}${exact ? ` OR ${exact(text)}` : ''}`;
  // OFFSET 0 keeps the planner from walking the whole table in list order instead of using the word index.
  const indexed = `SELECT id, created_at FROM ${rows} WHERE ${words} @@ ${query} AND ${where} OFFSET 0`;
  const exactly = exact && ` UNION SELECT id, created_at FROM ${rows} WHERE ${exact(text)} AND ${where}`;
  const found = exactly ? `(SELECT * FROM (${indexed}) i ${order} LIMIT ${limit})${exactly}` : indexed;
  return `
    WITH newest AS MATERIALIZED (
      SELECT id, created_at, ${matches} AS matches
      FROM (SELECT * FROM ${rows} WHERE ${where} ${order} LIMIT ${maxWalked + 1}) n
    ), walked AS MATERIALIZED (SELECT id, created_at FROM newest WHERE matches LIMIT ${limit}
    ), decided AS MATERIALIZED (
      SELECT CASE WHEN (SELECT count(*) FROM walked) = ${limit}::bigint THEN true
        ELSE (SELECT count(*) FROM newest) <= ${maxWalked} END AS by_walk
    )
    SELECT a.* FROM (
      SELECT id FROM walked WHERE (SELECT by_walk FROM decided)
      UNION ALL
      (SELECT id FROM (${found}) f WHERE NOT (SELECT by_walk FROM decided) ${order} LIMIT ${limit})
    ) page JOIN ${table} a USING (id)`;
}

function matchOf({ words, walkedText, text }: Search, query: string): string {
  // The function of the operator cannot use the word index, so the rows are walked.
  if (walkedText === undefined) return `ts_match_vq(${words}, ${query})`;
  const patterns = `ARRAY(SELECT $re$${beforeWord}$re$ || word FROM unnest(words_of(${text}::text)) word)`;
  return `(${query} IS NOT NULL AND lower(${walkedText}) ~ ALL (${patterns}))`;
}
