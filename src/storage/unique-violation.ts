/** PostgreSQL's SQLSTATE `unique_violation`, which both drivers hand on as `code`. */
const sqlState = '23505';

/** Runs a write; when another transaction took the same unique value in between, throws `taken` instead of the driver's error. */
export async function unlessTaken<T>(write: Promise<T>, taken: () => Error): Promise<T> {
  return await write.catch((error: unknown) => {
    throw error instanceof Error && (error as { code?: unknown }).code === sqlState ? taken() : error;
  });
}
