/** PostgreSQL's SQLSTATE `unique_violation`, which both drivers report as `code`. */
const sqlState = '23505';

/**
 * Runs a write. If another transaction took the same unique value first, throws `taken` instead of the driver's error.
 */
export async function unlessTaken<T>(write: Promise<T>, taken: () => Error): Promise<T> {
  return await write.catch((error: unknown) => {
    throw error instanceof Error && (error as { code?: unknown }).code === sqlState ? taken() : error;
  });
}
