import { setTimeout as delay } from 'node:timers/promises';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';
import type { Answer } from '../oauth/http-client.ts';

/** Counts that must be zero under every fault (SECURITY.md), and statistics. */
type Outcome = {
  wrongActive: number;
  wrongInactive: number;
  lostRevocations: number;
  lostAdminChanges: number;
  /** Responses that are neither right nor 503, such as 500 or 401. */
  unexpected: string[];
  answered: number;
  unavailable: number;
  revoked: number;
  adminChanges: number;
};

export const zeros = { wrongActive: 0, wrongInactive: 0, lostRevocations: 0, lostAdminChanges: 0, unexpected: [] };

/** Constant requests to two processes of one deployment, and everything that they have confirmed. */
export type Load = {
  servers: readonly AdminServer[];
  clients: Awaited<ReturnType<typeof registerAll>>;
  /**
   * Sends requests while `fault` runs and until the servers have recovered, then checks everything that was ever
   * confirmed.
   * @param fault gets a function that waits until many requests in a row were served.
   */
  during(title: string, fault: (recovered: () => Promise<void>) => Promise<unknown>): Promise<Outcome>;
  close(): Promise<void>;
};

/** Number of requests without a 503 after which the servers count as recovered. */
const servedInARow = 200;

/** Time that another process may take to follow a revocation, even without announcements. */
const staleMs = 5_000;

type Confirmed = { token: string; revokedAt?: number; isInDoubt?: boolean };

export async function startLoad(options: Parameters<typeof startAdminServer>[0]): Promise<Load> {
  const env = { KEYTURN_FAILURES_PER_MINUTE: '0', KEYTURN_STALE_SECONDS: '5', ...options?.env };
  const first = await startAdminServer({ ...options, env, storeDeadlineMs: 200 });
  const second = await startAdminServer({ ...options, env, storeDeadlineMs: 200, stores: first.stores });
  const servers = [first, second];
  const clients = await registerAll(first.core);
  const apis = servers.map(({ publicUrl }) => endpointsOf(publicUrl));
  const pick = <T>(items: readonly T[]) => items[Math.floor(Math.random() * items.length)] as T;

  async function during(title: string, fault: Parameters<Load['during']>[1]): Promise<Outcome> {
    const tokens: Confirmed[] = [];
    const admitted: { id: string; disabled: boolean }[] = [];
    const outcome: Outcome = {
      ...zeros,
      unexpected: [],
      answered: 0,
      unavailable: 0,
      revoked: 0,
      adminChanges: 0,
    };
    let running = true;
    let inARow = 0;
    const recovered = () => {
      inARow = 0;
      return eventually(() => inARow >= servedInARow);
    };

    function judge(what: string, { status, text }: Pick<Answer, 'status' | 'text'>, isRight: boolean): void {
      if (status === 503) {
        outcome.unavailable += 1;
        inARow = 0;
      } else if (isRight) {
        outcome.answered += 1;
        inARow += 1;
      } else outcome.unexpected.push(`${what}: ${status} ${text.slice(0, 200)}`);
    }

    async function issue(): Promise<void> {
      const answer = await pick(apis).token(clients.shop);
      judge('token', answer, answer.status === 200);
      if (answer.status === 200) tokens.push({ token: answer.json['access_token'] as string });
    }

    async function introspect(known: Confirmed, times: number): Promise<void> {
      const askedAt = performance.now();
      const wasRevoked = known.revokedAt !== undefined && askedAt - known.revokedAt > staleMs;
      const answer = await pick(apis).introspect(clients.orders, known.token);
      judge('introspection', answer, answer.status === 200);
      if (answer.status !== 200) return;
      const isActive = answer.text !== inactive;
      if (isActive && wasRevoked) outcome.wrongActive += times;
      if (!isActive && known.revokedAt === undefined && !known.isInDoubt) outcome.wrongInactive += times;
    }

    async function revoke(): Promise<void> {
      const known = tokens.find(({ isInDoubt }) => !isInDoubt);
      if (!known) return;
      // The token may be revoked from here on, regardless of the response.
      known.isInDoubt = true;
      const api = pick(apis);
      const answer = await api.revoke(clients.shop, known.token);
      if (answer.status !== 200) return;
      known.revokedAt = performance.now();
      outcome.revoked += 1;
      // The process that confirmed the revocation applies it at once.
      const seen = await api.introspect(clients.orders, known.token);
      if (seen.status === 200 && seen.text !== inactive) outcome.wrongActive += 1;
    }

    async function administer(): Promise<void> {
      const server = pick(servers);
      const body = { name: `Under load ${generateSecret('kts_').slice(4, 12)}`, kind: 'integration' };
      const created = await server.adminFetch('/clients', { method: 'POST', body });
      if (created.status !== 201) {
        if (created.status !== 503) outcome.unexpected.push(`POST /clients: ${created.status} ${created.text}`);
        return;
      }
      const entry = { id: created.json.client_id as string, disabled: false };
      admitted.push(entry);
      outcome.adminChanges += 1;
      const disabled = await server.adminFetch(`/clients/${entry.id}/disable`, { method: 'POST', body: {} });
      if (disabled.status !== 200) return;
      entry.disabled = true;
      outcome.adminChanges += 1;
    }

    const repeat = async (work: () => Promise<void>, pauseMs: number) => {
      while (running) {
        await work().catch((error: Error) => outcome.unexpected.push(String(error)));
        await delay(pauseMs);
      }
    };
    const loops = [
      repeat(issue, 5),
      repeat(issue, 10),
      repeat(() => (tokens.length > 0 ? introspect(pick(tokens), 1) : Promise.resolve()), 3),
      repeat(() => (tokens.length > 0 ? introspect(pick(tokens), 1) : Promise.resolve()), 3),
      repeat(revoke, 20),
      repeat(administer, 50),
    ];
    try {
      await recovered();
      await fault(recovered);
      await recovered();
    } finally {
      running = false;
      await Promise.all(loops);
    }
    await check(tokens, admitted, outcome);
    process.stderr.write(`${title}: ${tell(outcome)}\n`);
    return outcome;
  }

  /** Checks everything that was confirmed at both processes. */
  async function check(
    tokens: readonly Confirmed[],
    admitted: readonly { id: string; disabled: boolean }[],
    outcome: Outcome,
  ): Promise<void> {
    await Promise.all(servers.map(({ core }) => core.feed.sync()));
    const certain = tokens.filter(({ revokedAt, isInDoubt }) => revokedAt !== undefined || !isInDoubt);
    const latest = certain.filter(({ revokedAt }) => revokedAt === undefined).slice(-400);
    for (const { token, revokedAt } of [...certain.filter((known) => known.revokedAt !== undefined), ...latest]) {
      for (const api of apis) {
        const answer = await persist(() => api.introspect(clients.orders, token));
        if (answer.text === inactive && revokedAt === undefined) outcome.wrongInactive += 1;
        if (answer.text !== inactive && revokedAt !== undefined) outcome.lostRevocations += 1;
      }
    }
    for (const { id, disabled } of admitted) {
      const answer = await persist(() => pick(servers).adminFetch(`/clients/${id}`));
      if (answer.status !== 200) outcome.lostAdminChanges += 1;
      else if (disabled && answer.json.status !== 'disabled') outcome.lostAdminChanges += 1;
    }
  }

  return {
    servers,
    clients,
    during,
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

/** Retries a 503, as clients do. */
async function persist<T extends { status: number }>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const answer = await ask();
    if (answer.status !== 503 || attempt === 50) return answer;
    await delay(100);
  }
}

function tell(outcome: Outcome): string {
  const { unexpected, ...counts } = outcome;
  return JSON.stringify({ ...counts, unexpected: unexpected.length });
}
