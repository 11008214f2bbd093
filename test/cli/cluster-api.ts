import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { makeCertificate } from '../certificates.ts';

const manifest = fileURLToPath(new URL('../../examples/agent/kubernetes.yaml', import.meta.url));
const namespace = 'shop';

type Rule = { resources: string[]; resourceNames: string[]; verbs: string[] };

/**
 * The part of a Kubernetes API server that the agent uses, over TLS. It allows what the Role in examples/agent allows, and
 * rejects a patch of another version of the Secret.
 */
export async function startClusterApi(data: Record<string, string>) {
  const rules = parseAllDocuments(readFileSync(manifest, 'utf8'))
    .map((document) => document.toJS() as { kind: string; rules: Rule[] })
    .find(({ kind }) => kind === 'Role')?.rules as Rule[];
  const ca = makeCertificate({ subject: 'cluster CA', isCa: true });
  const own = makeCertificate({ subject: 'kubernetes', ip: ['127.0.0.1'], issuer: ca });
  const encode = (text: string) => Buffer.from(text).toString('base64');
  const state = {
    version: 1,
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, encode(value)])) as Record<
      string,
      string
    >,
    labels: {} as Record<string, string>,
    restarts: 0,
    token: 'first-token',
    /** Runs before the next patch of the Secret. */
    beforePatch: undefined as (() => void) | undefined,
    /** How many of the next requests are answered with 503. */
    failures: 0,
  };

  function answer(method: string, path: string, authorization: string, body: string): [status: number, body: object] {
    if (authorization !== `Bearer ${state.token}`) return [401, { kind: 'Status', message: 'Unauthorized' }];
    if (state.failures > 0) {
      state.failures -= 1;
      return [503, { kind: 'Status', message: 'the server is currently unable to handle the request' }];
    }
    const [, resource = '', name = ''] = new RegExp(`/namespaces/${namespace}/(\\w+)/([\\w-]+)$`).exec(path) ?? [];
    const verb = method.toLowerCase();
    const isAllowed = rules.some(
      (rule) => rule.resources.includes(resource) && rule.resourceNames.includes(name) && rule.verbs.includes(verb),
    );
    if (!isAllowed) return [403, { kind: 'Status', message: `${resource} "${name}" is forbidden` }];
    if (resource === 'deployments') {
      state.restarts += 1;
      return [200, {}];
    }
    if (verb === 'patch') {
      state.beforePatch?.();
      const patch = JSON.parse(body) as { metadata: { resourceVersion: string }; data: Record<string, string | null> };
      if (patch.metadata.resourceVersion !== String(state.version))
        return [409, { kind: 'Status', message: 'conflict' }];
      for (const [key, value] of Object.entries(patch.data)) {
        if (value === null) delete state.data[key];
        else state.data[key] = value;
      }
      state.version += 1;
    }
    return [200, { metadata: { resourceVersion: String(state.version), labels: state.labels }, data: state.data }];
  }

  const server: Server = createServer({ cert: own.cert, key: own.key }, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    request.on('end', () => {
      const [status, content] = answer(
        request.method ?? '',
        request.url ?? '',
        request.headers.authorization ?? '',
        body,
      );
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(content));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const serviceAccount = mkdtempSync(join(tmpdir(), 'keyturn-service-account-'));
  const write = (name: string, text: string) => writeFileSync(join(serviceAccount, name), text);
  write('ca.crt', ca.cert);
  write('namespace', namespace);
  write('token', state.token);
  return {
    state,
    serviceAccount,
    environment: {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: String((server.address() as AddressInfo).port),
    },
    secret: (): Record<string, string> =>
      Object.fromEntries(
        Object.entries(state.data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
      ),
    /** Somebody else changes the Secret. */
    change: (change: () => void) => {
      change();
      state.version += 1;
    },
    encode,
    replaceToken: (token: string) => {
      state.token = token;
      write('token', token);
    },
    close: async () => {
      rmSync(serviceAccount, { recursive: true });
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
