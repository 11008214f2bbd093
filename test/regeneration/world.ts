import { lockSecretOwner } from '../../src/leaks/end-leak.ts';
import { finishUnused } from '../../src/regeneration/end-regeneration.ts';
import { type AdminAnswer, type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import type { Stores } from '../harness.ts';
import { type Answer, post } from '../oauth/http-client.ts';

/** Credentials of an integration. */
type Credentials = { id: string; secret: string };

/** Caller, with its address, its user agent and the name of its instance. */
type Machine = { from?: string; userAgent?: string; instance?: string };

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

/** Server with a movable clock, an API and an integration. */
export type World = AdminServer & {
  now(): number;
  pass(milliseconds: number): void;
  /** Integration as it was registered. */
  shop: Credentials;
  api: Credentials;
  askToken(credentials: Credentials, machine?: Machine, form?: Record<string, string>): Promise<Answer>;
  /** Requests a token with these credentials. */
  token(credentials: Credentials, machine?: Machine): Promise<string>;
  isLive(token: string): Promise<boolean>;
  revoke(credentials: Credentials, token: string): Promise<void>;
  /** Returns whether a token can be obtained with these credentials now. */
  works(credentials: Credentials): Promise<boolean>;
  /** Sends a POST of an operator to a path below the integration. */
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<AdminAnswer>;
  /** Requests a review and regenerates with its confirmation. */
  regenerate(options?: Record<string, unknown>): Promise<AdminAnswer & { credentials: Credentials }>;
  regenerations(): Promise<AdminAnswer['json'][]>;
  /** Ends unused grace periods now, which every process does every few seconds. */
  lookAfterOverlaps(): Promise<void>;
  /** Returns the latest rotation of a client, by default the integration, after unused grace periods have ended. */
  progress(clientId?: string): Promise<AdminAnswer['json']>;
};

export async function createWorld(
  options: { stores?: Stores; startAt?: number; env?: Record<string, string> } = {},
): Promise<World> {
  let now = options.startAt ?? Date.now();
  const { startAt: _startAt, ...rest } = options;
  const server = await startAdminServer({ clock: () => now, ...rest });
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

  const askToken: World['askToken'] = (credentials, machine = {}, form = {}) => {
    const { from, userAgent = 'shop/1.0', instance } = machine;
    const named = instance === undefined ? {} : { 'Keyturn-Instance': instance };
    return post(
      `${publicUrl}/oauth2/token`,
      { grant_type: 'client_credentials', ...form },
      {
        basic: [credentials.id, credentials.secret],
        headers: { 'User-Agent': userAgent, ...named },
        ...(from ? { from } : {}),
      },
    );
  };
  const postToShop: World['post'] = (path, body = {}, headers = {}) =>
    adminFetch(`/clients/${shop.id}${path}`, { method: 'POST', body, headers });
  const regenerationsOf = async (clientId: string) =>
    (await adminFetch(`/clients/${clientId}/regenerations`)).json.data;
  const lookAfterOverlaps = async () => {
    await server.core.usage.flush();
    await finishUnused({ ...server.core, lockOwner: lockSecretOwner });
  };

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
    lookAfterOverlaps,
    regenerations: () => regenerationsOf(shop.id),
    progress: async (clientId = shop.id) => {
      await lookAfterOverlaps();
      return (await regenerationsOf(clientId))[0];
    },
  };
}
