import type { Actor } from '../../src/audit/audit-log.ts';
import { generateClient, type NewClient } from '../../src/clients/manage-clients.ts';
import type { Core } from '../../src/core.ts';
import { type Answer, type Form, post, type Sent } from './http-client.ts';

/** The actor of all changes in these tests. */
export const actor: Actor = { id: 'test', name: 'test', address: null };

/** The credentials of a registered client. */
export type TestClient = { id: string; secret: string };

export async function register(core: Core, input: NewClient): Promise<TestClient> {
  const { client, clientSecret } = await core.change((transaction) => generateClient(transaction, core, actor, input));
  return { id: client.clientId, secret: clientSecret };
}

export const ordersResource = 'https://orders.example';
export const invoicesResource = 'https://invoices.example/v1';

/** Registers two APIs, and three integrations with many, few and no permissions. */
export async function registerAll(core: Core) {
  const orders = await register(core, {
    name: 'Orders API',
    kind: 'resource_server',
    resource: ordersResource,
    information: ['orders', 'products'],
  });
  const invoices = await register(core, {
    name: 'Invoices API',
    kind: 'resource_server',
    resource: invoicesResource,
    information: ['invoices'],
  });
  const integration = (name: string, scope?: string) => register(core, { name, kind: 'integration', scope });
  return {
    orders,
    invoices,
    shop: await integration('Shop', 'orders:read orders:create products:read'),
    partner: await integration('Partner', 'orders:read invoices:read'),
    bare: await integration('Bare'),
  };
}

/** Registers two APIs that offer orders: one accepts opaque tokens, the other JWTs. */
export async function registerBothFormats(
  core: Core,
  resources: Record<'opaque' | 'jwt', string>,
): Promise<Record<'opaque' | 'jwt', TestClient>> {
  const one = (tokenFormat: 'opaque' | 'jwt') =>
    register(core, {
      name: tokenFormat,
      kind: 'resource_server',
      resource: resources[tokenFormat],
      information: ['orders'],
      tokenFormat,
    });
  return { opaque: await one('opaque'), jwt: await one('jwt') };
}

type Options = Omit<Sent, 'body' | 'method'>;

/** Returns functions that call the three endpoints of a running server as a client does. */
export function endpointsOf(publicUrl: string) {
  const call =
    (path: string) =>
    (client: TestClient, form: Form = {}, options: Options = {}): Promise<Answer> =>
      post(`${publicUrl}${path}`, form, { basic: [client.id, client.secret], ...options });
  const token = call('/oauth2/token');
  const introspect = call('/oauth2/introspect');
  const revoke = call('/oauth2/revoke');
  return {
    tokenUrl: `${publicUrl}/oauth2/token`,
    introspectionUrl: `${publicUrl}/oauth2/introspect`,
    revocationUrl: `${publicUrl}/oauth2/revoke`,
    token: (client: TestClient, form: Record<string, string> = {}, options?: Options) =>
      token(client, { grant_type: 'client_credentials', ...form }, options),
    introspect: (client: TestClient, presented: string, form: Record<string, string> = {}, options?: Options) =>
      introspect(client, { token: presented, ...form }, options),
    /** Exchanges a stand-alone access key, without any client. */
    exchangeKey: (value: string, form: Record<string, string> = {}, options?: Options) =>
      post(
        `${publicUrl}/oauth2/token`,
        {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token_type: 'https://keyturn.dev/token-types/access-key',
          subject_token: value,
          ...form,
        },
        options,
      ),
    revoke: (client: TestClient, presented: string, form: Record<string, string> = {}, options?: Options) =>
      revoke(client, { token: presented, ...form }, options),
    /** Issues a new token of the client. Retries a 503, as clients do: a store may be slow on a busy machine. */
    async accessToken(client: TestClient, form: Record<string, string> = {}): Promise<string> {
      const ask = () => token(client, { grant_type: 'client_credentials', ...form });
      let answer = await ask();
      for (let retries = 0; answer.status === 503 && retries < 10; retries++) answer = await ask();
      if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.text}`);
      return answer.json['access_token'] as string;
    },
  };
}

/** The complete body of an introspection of a token that is not live. */
export const inactive = '{"active":false}';

/** Records the statements that a server sends to its database outside of transactions, until stopped. */
export function watchQueries({ unlimitedDatabase: database }: Core) {
  const { query } = database;
  const statements: { sql: string; parameters: readonly unknown[] }[] = [];
  database.query = async (sql, parameters = []) => {
    statements.push({ sql, parameters });
    return await query(sql, parameters);
  };
  return {
    /** Returns the number of statements with exactly this text. */
    count: (text: string) => statements.filter(({ sql }) => sql === text).length,
    /** Returns the number of reads of changes. */
    changeReads: () => statements.filter(({ sql }) => sql.includes('FROM changes WHERE seq >')).length,
    /** Returns the Client IDs that were looked up. */
    clientLookups: () =>
      statements
        .filter(({ sql }) => sql.includes('client_ids'))
        .flatMap(({ parameters }) => (parameters[0] ?? []) as string[]),
    stop: () => {
      database.query = query;
    },
  };
}
