import { Socket } from 'node:net';
import pg from 'pg';
import { StoreUnavailable } from '../errors.ts';

/** A host of a `DATABASE_URL`, with a URL that names only this host. */
export type Host = { host: string; port: number; url: string };

/** The primary among the hosts of a `DATABASE_URL`. */
export type Primary = {
  /**
   * Returns the host that was found last, or searches now. @throws {StoreUnavailable} if no host is a primary that
   * answers.
   */
  find(): Promise<Host>;
  /** Reports that a connection to the primary broke, so that the next call searches again. */
  lost(): void;
  close(): void;
};

const askMs = 1_000;
const watchEveryMs = 2_000;

/** Splits `postgres://user@host:port,host:port/database`, which libpq understands and node-postgres does not. */
export function splitHosts(url: string): Host[] {
  const [, before = '', authority = '', after = ''] = /^([^:]+:\/\/(?:[^/?]*@)?)([^/?]*)(.*)$/s.exec(url) ?? [];
  return authority.split(',').map((text) => {
    const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? 5432), url: `${before}${text}${after}` };
  });
}

/**
 * Asks all hosts and takes the primary with the latest timeline: a primary that was replaced while it was unreachable
 * still claims to be one when it returns. Checks every two seconds whether another host was promoted.
 * @param onMoved called when another host is the primary; connections to the previous one must be closed.
 */
export function findPrimary(hosts: readonly Host[], onMoved: () => void): Primary {
  let known: { host: Host; timeline: number } | undefined;
  let asking: Promise<Host> | undefined;

  async function elect(among: readonly Host[]): Promise<typeof known> {
    const answers = await Promise.all(among.map((host) => askTimeline(host).catch(() => undefined)));
    const found = answers.flatMap((timeline, index) => (timeline ? [{ host: among[index] as Host, timeline }] : []));
    return found.sort((left, right) => right.timeline - left.timeline)[0];
  }

  async function look(): Promise<Host> {
    const found = await elect(hosts);
    if (!found) throw new StoreUnavailable('database', 'no host responds as a primary');
    known = found;
    return found.host;
  }

  async function watch(): Promise<void> {
    if (!known) return;
    const before = known;
    const found = await elect(hosts.filter((host) => host !== before.host));
    if (!found || found.timeline <= before.timeline || known !== before) return;
    known = found;
    onMoved();
  }

  const timer = setInterval(() => void watch(), watchEveryMs);
  timer.unref();
  return {
    find: async () => {
      if (known) return known.host;
      asking ??= look().finally(() => {
        asking = undefined;
      });
      return await asking;
    },
    lost: () => {
      known = undefined;
    },
    close: () => clearInterval(timer),
  };
}

/** Returns undefined for a standby. Rejects if there is no answer within a second. */
async function askTimeline({ url }: Host): Promise<number | undefined> {
  const socket = new Socket();
  const client = new pg.Client({
    connectionString: url,
    application_name: 'keyturn',
    connectionTimeoutMillis: askMs,
    query_timeout: askMs,
    stream: () => socket,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    // A WAL file name begins with the timeline in hexadecimal. CASE is needed because a standby has no current WAL
    // position.
    const { rows } = await client.query<{ wal: string | null }>(
      'SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END AS wal',
    );
    const wal = rows[0]?.wal;
    return wal ? Number.parseInt(wal.slice(0, 8), 16) : undefined;
  } finally {
    client.end().catch(() => undefined);
    setTimeout(() => socket.destroy(), askMs).unref();
  }
}
