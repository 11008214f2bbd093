import { request } from 'node:https';
import { join } from 'node:path';
import { commandVariables } from '../../config.ts';
import { CommandEnd } from '../terminal.ts';
import { readText } from './credential-file.ts';
import { type CredentialStore, type Credentials, type Started, StoreBusy, type Stored } from './credential-store.ts';

/** Where Kubernetes mounts the token of a Pod's service account. */
export const defaultServiceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The data of the Secret that the agent writes. All other data is kept. */
const members = [
  'client_id',
  'client_secret',
  'previous_client_secret',
  'private_key',
  'previous_private_key',
] as const;
const jsonMembers: readonly string[] = ['private_key', 'previous_private_key'];
const rotationMember = 'rotation';
const own: readonly string[] = [...members, rotationMember];

/** Somebody has changed the object since it was read. */
class VersionConflict extends Error {}

type SecretObject = { metadata: { resourceVersion: string }; data?: Record<string, string> };

/**
 * Opens a Kubernetes Secret with the credential of a program. Every write names the version that was read, so the API
 * server rejects it if somebody else has changed the Secret since. Two requests need no client library.
 * @param reference `name` or `namespace/name`; the namespace of the Pod by default.
 * @throws {CommandEnd} 2 outside a cluster.
 */
export function openKubernetesSecret(reference: string, serviceAccount: string): CredentialStore {
  const api = openClusterApi(serviceAccount);
  const [first = '', second] = reference.split('/');
  const [namespace, name] = second === undefined ? [api.namespace, first] : [first, second];
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets/${encodeURIComponent(name)}`;
  let version = '';
  /** The members of the Secret that belong to the agent, as they were last read or written. */
  let known: Readonly<Record<string, string>> = {};

  function remember({ data = {}, metadata }: SecretObject): void {
    version = metadata.resourceVersion;
    known = Object.fromEntries(own.flatMap((key) => (data[key] === undefined ? [] : [[key, data[key]]])));
  }

  async function read(): Promise<Stored> {
    remember((await api.call('GET', path)) as SecretObject);
    const texts = Object.fromEntries(
      Object.entries(known).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
    );
    const credentials = Object.fromEntries(
      members
        .filter((key) => texts[key] !== undefined)
        .map((key) => [key, jsonMembers.includes(key) ? parse(name, key, texts[key]) : texts[key]?.trim()]),
    );
    if (typeof credentials['client_id'] !== 'string') {
      throw new CommandEnd(2, `error: --kubernetes-secret: ${name} must have client_id and client_secret.`);
    }
    return {
      credentials: credentials as Credentials,
      started: texts[rotationMember] ? (parse(name, rotationMember, texts[rotationMember]) as Started) : undefined,
    };
  }

  async function replace(data: Record<string, string | null>): Promise<void> {
    try {
      const patch = { metadata: { resourceVersion: version }, data };
      remember((await api.call('PATCH', path, patch)) as SecretObject);
    } catch (error) {
      if (!(error instanceof VersionConflict)) throw error;
      const before = JSON.stringify(known);
      remember((await api.call('GET', path)) as SecretObject);
      // A label or an annotation may change at any time.
      if (JSON.stringify(known) === before) return await replace(data);
      throw new CommandEnd(1, `error: Somebody else has changed the credential in ${name}. Run the agent again.`);
    }
  }

  return {
    name: `Secret ${namespace}/${name}`,
    read,
    write: async ({ credentials, started }) => {
      const values: Record<string, unknown> = { ...credentials, [rotationMember]: started };
      const data = own.flatMap((key): [string, string | null][] => {
        const value = values[key];
        if (value !== undefined) {
          const text = typeof value === 'string' ? value : JSON.stringify(value);
          return [[key, Buffer.from(text).toString('base64')]];
        }
        // Null removes a member (RFC 7396).
        return known[key] === undefined ? [] : [[key, null]];
      });
      await replace(Object.fromEntries(data));
    },
  };
}

/** Makes a Deployment start its Pods again, one after the other, as `kubectl rollout restart` does. */
export async function restartDeployment(name: string, serviceAccount: string): Promise<void> {
  const api = openClusterApi(serviceAccount);
  const path = `/apis/apps/v1/namespaces/${encodeURIComponent(api.namespace)}/deployments/${encodeURIComponent(name)}`;
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() };
  await api.call('PATCH', path, { spec: { template: { metadata: { annotations } } } });
}

function parse(name: string, key: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    throw new CommandEnd(2, `error: --kubernetes-secret: ${key} of ${name} is not JSON.`);
  }
}

function openClusterApi(serviceAccount: string) {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = commandVariables();
  const read = (name: string) => readText(join(serviceAccount, name));
  const [ca, namespace] = [read('ca.crt'), read('namespace')?.trim()];
  if (host === undefined || ca === undefined || namespace === undefined) {
    throw new CommandEnd(
      2,
      `error: --kubernetes-secret works in a Pod with a service account: KUBERNETES_SERVICE_HOST, or ca.crt or namespace in ${serviceAccount}, is missing.`,
    );
  }
  return {
    namespace,
    /** @throws {StoreBusy} if the server cannot be reached or asks to wait; {VersionConflict}; {CommandEnd} 1 if it rejects it. */
    call: async (method: 'GET' | 'PATCH', path: string, body?: object): Promise<unknown> => {
      // Kubernetes replaces the token from time to time.
      const token = read('token')?.trim() ?? '';
      const { status, text } = await send({ host, port, path, method, ca, token, body });
      if (status >= 200 && status < 300) return JSON.parse(text);
      if (status === 429 || status >= 500) throw new StoreBusy(`The API server answered with status ${status}.`);
      if (status === 409) throw new VersionConflict();
      const reason = messageOf(text) ?? `The API server answered with status ${status}.`;
      throw new CommandEnd(1, `error: ${method} ${path}: ${reason}`);
    },
  };
}

/** Returns the message of a `Status` object. */
function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}

const timeoutMs = 10_000;
/** A Secret has at most 1 MiB of data, which is in base64. */
const maxBytes = 2 * 1024 * 1024;

function send(call: {
  host: string;
  port: string;
  path: string;
  method: string;
  ca: string;
  token: string;
  body: object | undefined;
}): Promise<{ status: number; text: string }> {
  const { host, port, path, method, ca, token, body } = call;
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(new StoreBusy(`The API server cannot be reached: ${error.message}.`));
    const outgoing = request({
      host: host.replace(/^\[|\]$/g, ''),
      port,
      path,
      method,
      ca,
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        Accept: 'application/json',
        Authorization: `Bearer ${token}`,
        'User-Agent': 'keyturn-agent',
        ...(body ? { 'Content-Type': 'application/merge-patch+json' } : {}),
      },
    });
    outgoing.once('error', fail);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxBytes) outgoing.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.once('error', fail);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.end(body && JSON.stringify(body));
  });
}
