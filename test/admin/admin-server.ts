import type { Endpoint } from '../../src/admin/endpoint.ts';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { problemSchemaOf } from '../../src/admin/openapi.ts';
import { permissions as allPermissions, type Permission } from '../../src/contacts/contact.ts';
import { createContact, issueOperatorToken } from '../../src/contacts/manage-contacts.ts';
import type { Core } from '../../src/core.ts';
import { startTestServer, type TestServer } from '../harness.ts';

/** A running server with helpers for requests to the admin API. */
export type AdminServer = TestServer & {
  /** Creates an operator with these permissions, by default with all. */
  operator(permissions?: readonly Permission[]): Promise<{ id: string; token: string }>;
  operatorToken(permissions?: readonly Permission[]): Promise<string>;
  /**
   * Sends a request to a path below `/admin/v1`, by default as an operator with all permissions. Responses are checked
   * against the endpoint's schemas.
   */
  adminFetch(path: string, options?: AdminFetchOptions): Promise<AdminAnswer>;
};

type AdminFetchOptions = {
  method?: string;
  /** The operator token; null sends no Authorization header. */
  token?: string | null | undefined;
  /** Sent as JSON. A string is sent unchanged. */
  body?: unknown;
  headers?: Record<string, string>;
};

// biome-ignore lint/suspicious/noExplicitAny: the shape of a response is unknown until a test checks it.
export type AdminAnswer = { status: number; headers: Headers; text: string; json: any };

export async function startAdminServer(options: Parameters<typeof startTestServer>[0] = {}): Promise<AdminServer> {
  const server = await startTestServer(options);
  const { core } = server;
  const endpoints = adminEndpoints(core);
  const operator = (permissions: readonly Permission[] = allPermissions) => makeOperator(core, permissions);
  const operatorToken = async (permissions?: readonly Permission[]) => (await operator(permissions)).token;
  const everything = await operatorToken();
  return {
    ...server,
    operator,
    operatorToken,
    async adminFetch(path, { method = 'GET', token = everything, body, headers = {} } = {}) {
      const response = await fetch(`${server.adminUrl}/admin/v1${path}`, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '');
      const answer = {
        status: response.status,
        headers: response.headers,
        text,
        json: isJson ? JSON.parse(text) : null,
      };
      checkAnswer(endpoints, method, path, answer);
      return answer;
    },
  };
}

/** Creates a contact with these permissions and issues its operator token. */
async function makeOperator(core: Core, permissions: readonly Permission[]): Promise<{ id: string; token: string }> {
  const grantor = { id: 'test', name: 'test', address: null, permissions: allPermissions, organizationId: null };
  return await core.change(async (transaction) => {
    const contact = await createContact(transaction, core, grantor, {
      name: `Operator ${permissions.join(' ') || 'without permissions'}`,
      email: 'operator@example.com',
      permissions,
    });
    const { operatorToken: token } = await issueOperatorToken(transaction, core, grantor, contact.id);
    return { id: contact.id, token };
  });
}

/** Throws unless a successful response has a declared status and body, and an error has the body for its status. */
function checkAnswer(endpoints: readonly Endpoint[], method: string, path: string, answer: AdminAnswer): void {
  if (answer.status >= 400 && answer.text !== '' && !problemSchemaOf(answer.status).safeParse(answer.json).success) {
    throw new Error(`${method} ${path} answered ${answer.status} with a body that is not declared: ${answer.text}`);
  }
  if (answer.status < 200 || answer.status > 299) return;
  const asked = path.replace(/\?.*/, '');
  const endpoint = endpoints.find(
    (candidate) =>
      candidate.method === method.toLowerCase() &&
      new RegExp(`^${candidate.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(asked),
  );
  if (!endpoint) return;
  const schema = endpoint.answers[answer.status];
  if (schema === undefined) throw new Error(`${method} ${path} answered ${answer.status}, which it does not declare`);
  if (schema === null ? answer.text !== '' : !schema.safeParse(answer.json).success) {
    throw new Error(`${method} ${path} answered ${answer.status} with what it does not declare: ${answer.text}`);
  }
}
