/** A printed table: a heading row and rows of cells. */
export type Table = { title: string; head: readonly string[]; rows: string[][] };
