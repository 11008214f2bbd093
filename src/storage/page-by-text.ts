type Search = {
  /** SQL expression for the words of a row, as an indexed tsvector. */
  words: string;
  /** Placeholder for the searched text. */
  text: string;
  /** Returns a condition for rows that match the whole text in another way. */
  exact?: (text: string) => string;
};

const maxWalked = 2_000;

/**
 * Builds a query for one page of a table, newest first, optionally limited to rows with words that begin with the words
 * of a text. If many rows match, walking the table in list order soon finds the first ones; if few match, the word
 * index finds them and they are sorted. The planner cannot know how many match, so the statement first walks a limited
 * number of rows and then decides. Calling `ts_match_vq` instead of its operator keeps the walk from using the word
 * index.
 * @param columns the columns that `where` and the order need.
 * @param limit placeholder for the number of rows.
 */
export function pageByText({
  table,
  columns,
  where,
  limit,
  search,
}: {
  table: string;
  columns: string;
  where: string;
  limit: string;
  search: Search | undefined;
}): string {
  const order = 'ORDER BY created_at DESC, id DESC';
  if (!search) return `SELECT * FROM ${table} WHERE ${where} ${order} LIMIT ${limit}`;
  const { words, text, exact } = search;
  const query = `begins_words(${text}::text)`;
  const isNotDone = 'NOT (SELECT is_done FROM walk)';
  return `
    WITH walked AS MATERIALIZED (
      SELECT * FROM (SELECT * FROM ${table} WHERE ${where} ${order} LIMIT ${maxWalked}) newest
      WHERE ts_match_vq(${words}, ${query})${exact ? ` OR ${exact(text)}` : ''} ${order} LIMIT ${limit}
    ), walk AS (
      SELECT count(*) >= ${limit} OR ${maxWalked} > (
        SELECT count(*) FROM (SELECT FROM ${table} WHERE ${where} ${order} LIMIT ${maxWalked}) newest
      ) AS is_done FROM walked
    ), found AS MATERIALIZED (
      SELECT ${columns} FROM ${table} WHERE ${words} @@ ${query} AND ${isNotDone}
      ${exact ? `UNION SELECT ${columns} FROM ${table} WHERE ${exact(text)} AND ${isNotDone}` : ''}
    )
    SELECT * FROM walked WHERE (SELECT is_done FROM walk)
    UNION ALL
    SELECT a.* FROM (SELECT id FROM found WHERE ${where} ${order} LIMIT ${limit}) f JOIN ${table} a USING (id)`;
}
