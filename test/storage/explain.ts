import type { Database } from '../../src/storage/database.ts';

/** A node of a query plan that was executed. */
export type Node = {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Relation Name'?: string;
  'CTE Name'?: string;
  Plans?: Node[];
};

/** Runs a list with EXPLAIN. Returns all nodes of its plans that were executed. */
export async function explain(database: Database, list: (recorder: Database) => Promise<unknown>): Promise<Node[]> {
  const nodes: Node[] = [];
  const walk = (node: Node) => {
    if (node['Actual Loops'] > 0) nodes.push(node);
    for (const each of node.Plans ?? []) walk(each);
  };
  const query = async (sql: string, parameters: readonly unknown[]) => {
    const [row] = await database.query<{ 'QUERY PLAN': { Plan: Node }[] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`,
      parameters,
    );
    for (const { Plan } of row?.['QUERY PLAN'] ?? []) walk(Plan);
    // The next statement of a list depends on what this one finds.
    return await database.query(sql, parameters);
  };
  await list({ query } as unknown as Database);
  return nodes;
}

/**
 * Returns the number of rows that a node has read, including those that it has discarded. A sample that is read once for
 * each searched word counts once.
 */
export function rowsRead(node: Node): number {
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  return (node['Actual Rows'] + removed) * (node['CTE Name'] === 'sampled' ? 1 : node['Actual Loops']);
}
