import { Redis, type RedisOptions } from 'ioredis';

const everyMs = 500;

/**
 * Asks every Sentinel twice a second for the primary's address and reports changes of their answers: when the first
 * Sentinel knows another primary, and again when the last one does. ioredis trusts the first Sentinel, which may be the
 * last to learn of a failover, and could reconnect to the old primary.
 * @returns a function that stops watching.
 */
export function watchSentinels(
  sentinels: readonly { host: string; port: number }[],
  options: Omit<RedisOptions, 'replyMapping'>,
  primaryName: string,
  onChanged: () => void,
): () => void {
  const connections = sentinels.map((node) => {
    const connection = new Redis({ ...options, host: node.host, port: node.port, enableReadyCheck: false });
    // Ignore errors here, because the main Redis connection reports whether Redis can be reached.
    connection.on('error', () => undefined);
    connection.connect().catch(() => undefined);
    return connection;
  });
  let known: string | undefined;
  let isAsking = false;

  async function ask(): Promise<void> {
    const answers = await Promise.all(
      connections.map((connection) =>
        connection.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName).then(String, () => undefined),
      ),
    );
    const addresses = [...new Set(answers.filter((answer) => answer !== undefined))].sort().join(' ');
    if (addresses === '') return;
    const isChanged = known !== undefined && known !== addresses;
    known = addresses;
    if (isChanged) onChanged();
  }

  const timer = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    void ask().finally(() => {
      isAsking = false;
    });
  }, everyMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    for (const connection of connections) connection.disconnect();
  };
}

/** Asks every Sentinel once for the primary's address. An answer that is an error is returned, not thrown. */
export async function askSentinels(
  sentinels: readonly { host: string; port: number }[],
  options: Omit<RedisOptions, 'replyMapping'>,
  primaryName: string,
): Promise<unknown[]> {
  return await Promise.all(
    sentinels.map(async (node) => {
      const connection = new Redis({ ...options, host: node.host, port: node.port, enableReadyCheck: false });
      let refusal: Error | undefined;
      connection.on('error', (error: Error) => {
        refusal = error;
      });
      try {
        await connection.connect();
        return await connection.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName);
      } catch (error) {
        return refusal ?? error;
      } finally {
        connection.disconnect();
      }
    }),
  );
}
