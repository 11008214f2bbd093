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
};

const maxWalked = 2_000;

/** Regular expression for what `words_of` splits a text at, and for its beginning. */
const beforeWord = '(^|[] \\t\\r\\n!"#$%&\'()*+,./:;<=>?@[\\\\^_`{|}~…-])';

/**
 * Selects one page of a table, newest first, optionally limited to rows with words that begin with the words of a text.
 * If many rows match, walking the newest rows soon finds a page of them; otherwise the word index finds all matches and
 * they are sorted. The planner cannot know how many match, so the first statement walks a limited number of rows, and
 * the second one follows only if that found too few.
 * @param select returns the statement for a page, given the query for its rows.
 * @param size number of rows at most, the value of `limit`.
 */
export async function selectPage<R extends Row>(
  database: Queryable,
  { table, where, limit, search }: Page,
  { select, parameters, size }: { select: (page: string) => string; parameters: readonly unknown[]; size: number },
): Promise<R[]> {
  const order = 'ORDER BY created_at DESC, id DESC';
  const page = (from: string, condition: string) => `SELECT * FROM ${from} WHERE ${condition} ${order} LIMIT ${limit}`;
  if (!search) return await database.query<R>(select(page(table, where)), parameters);
  const { text, words, exact } = search;
  const query = `begins_words(${text}::text)`;
  const newest = `(SELECT * FROM ${table} WHERE ${where} ${order} LIMIT ${maxWalked}) newest`;
  const matches = `${matchOf(search, query)}${exact ? ` OR ${exact(text)}` : ''}`;
  const walked = await database.query<R>(select(page(newest, matches)), parameters);
  if (walked.length === size) return walked;
  // OFFSET 0 keeps the planner from walking the whole table in list order instead of using the word index.
  const indexed = `(SELECT id, created_at FROM ${table} WHERE ${words} @@ ${query} AND ${where} OFFSET 0) indexed`;
  const found = exact
    ? `((${page(indexed, 'true')}) UNION SELECT id, created_at FROM ${table} WHERE ${exact(text)} AND ${where}) found`
    : indexed;
  const areMore = `(SELECT count(*) FROM (SELECT FROM ${table} WHERE ${where} ${order} LIMIT ${maxWalked}) listed) = ${maxWalked}`;
  const rows = await database.query<R>(
    select(`SELECT a.* FROM (${page(found, 'true')}) f JOIN ${table} a USING (id) WHERE ${areMore}`),
    parameters,
  );
  return rows.length > 0 ? rows : walked;
}

function matchOf({ words, walkedText, text }: Search, query: string): string {
  // The function of the operator cannot use the word index, so the rows are walked.
  if (walkedText === undefined) return `ts_match_vq(${words}, ${query})`;
  const patterns = `ARRAY(SELECT $re$${beforeWord}$re$ || word FROM unnest(words_of(${text}::text)) word)`;
  return `(${query} IS NOT NULL AND lower(${walkedText}) ~ ALL (${patterns}))`;
}
