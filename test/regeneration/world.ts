import { finishUnused } from '../../src/regeneration/finish-unused.ts';
import { lockSecretOwner } from '../../src/secrets/lock-secret-owner.ts';
import type { AdminAnswer, AdminServer } from '../admin/admin-server.ts';
import { startAdminServer } from '../admin/admin-server.ts';
import type { Stores } from '../harness.ts';
import { type Answer, post } from '../oauth/http-client.ts';

/** A pair of credentials, as an integration has it. */
type Credentials = { id: string; secret: string };

/** A machine that calls: its address and what it calls itself. */
type Machine = { from?: string; userAgent?: string };

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

/** A server whose time a test moves, with an API and an integration of it, seen from all sides. */
export type World = AdminServer & {
  now(): number;
  pass(milliseconds: number): void;
  /** The integration as it was registered. */
  shop: Credentials;
  api: Credentials;
  askToken(credentials: Credentials, machine?: Machine, form?: Record<string, string>): Promise<Answer>;
  /** A token of these credentials. */
  token(credentials: Credentials, machine?: Machine): Promise<string>;
  isLive(token: string): Promise<boolean>;
  revoke(credentials: Credentials, token: string): Promise<void>;
  /** Whether these credentials are good for a token now. */
  works(credentials: Credentials): Promise<boolean>;
  /** A POST by an operator, below the shop's page. */
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<AdminAnswer>;
  /** Review and regenerate, as an operator does who has seen the review. */
  regenerate(options?: Record<string, unknown>): Promise<AdminAnswer & { credentials: Credentials }>;
  regenerations(): Promise<AdminAnswer['json'][]>;
  /** What every process does every few seconds, done now. */
  lookAfterOverlaps(): Promise<void>;
};

export async function createWorld(options: { stores?: Stores; startAt?: number } = {}): Promise<World> {
  let now = options.startAt ?? Date.now();
  const server = await startAdminServer({ clock: () => now, ...(options.stores ? { stores: options.stores } : {}) });
  const { adminFetch, publicUrl } = server;
  const create = async (body: object): Promise<Credentials> => {
    const { json } = await adminFetch('/clients', { method: 'POST', body });
    return { id: json.client_id, secret: json.client_secret };
  };
  const api = await create({
    name: 'Orders API',
    kind: 'resource_server',
    resource: `https://orders-${Math.random().toString(36).slice(2)}.example`,
    information: ['orders'],
  });
  const shop = await create({ name: 'Shop', kind: 'integration', scope: 'orders:read' });

  const askToken: World['askToken'] = (credentials, { from, userAgent = 'shop/1.0' } = {}, form = {}) =>
    post(
      `${publicUrl}/oauth2/token`,
      { grant_type: 'client_credentials', ...form },
      { basic: [credentials.id, credentials.secret], headers: { 'User-Agent': userAgent }, ...(from ? { from } : {}) },
    );
  const postToShop: World['post'] = (path, body = {}, headers = {}) =>
    adminFetch(`/clients/${shop.id}${path}`, { method: 'POST', body, headers });

  return {
    ...server,
    now: () => now,
    pass: (milliseconds) => {
      now += milliseconds;
    },
    shop,
    api,
    askToken,
    post: postToShop,
    async token(credentials, machine) {
      const answer = await askToken(credentials, machine);
      if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.text}`);
      return answer.json['access_token'] as string;
    },
    async isLive(token) {
      const answer = await post(`${publicUrl}/oauth2/introspect`, { token }, { basic: [api.id, api.secret] });
      if (answer.status !== 200) throw new Error(`no introspection: ${answer.status} ${answer.text}`);
      return answer.json['active'] as boolean;
    },
    async revoke(credentials, token) {
      const answer = await post(
        `${publicUrl}/oauth2/revoke`,
        { token },
        { basic: [credentials.id, credentials.secret] },
      );
      if (answer.status !== 200) throw new Error(`not revoked: ${answer.status} ${answer.text}`);
    },
    works: async (credentials) => (await askToken(credentials)).status === 200,
    async regenerate(request = {}) {
      const review = await postToShop('/regeneration/review');
      const answer = await postToShop('/regenerate', { confirmation: review.json.confirmation, ...request });
      return { ...answer, credentials: { id: answer.json.client_id, secret: answer.json.client_secret } };
    },
    lookAfterOverlaps: async () => {
      await server.core.usage.flush();
      await finishUnused({ ...server.core, lockOwner: lockSecretOwner });
    },
    regenerations: async () => (await adminFetch(`/clients/${shop.id}/regenerations`)).json.data,
  };
}
