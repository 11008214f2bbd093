import { createPublicKey } from 'node:crypto';
import * as client from 'openid-client';
import { lockSecretOwner } from '../../src/leaks/end-leak.ts';
import { finishUnused } from '../../src/regeneration/end-regeneration.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { freePort } from '../free-port.ts';

const hour = 3_600_000;
const day = 24 * hour;

let server: AdminServer;
let issuer: string;
/** Milliseconds by which the server's clock is ahead of this machine's. */
let passedMs = 0;
const now = () => Date.now() + passedMs;
/** The keys that the client of the test publishes at its URL. */
let published: readonly object[] = [];

beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}`;
  server = await startAdminServer({
    clock: now,
    readJwks: async () => published,
    env: {
      KEYTURN_PORT: String(port),
      KEYTURN_ISSUER: issuer,
      KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert',
      KEYTURN_CLIENT_CERT_PROXY: '127.0.0.1',
    },
  });
});
afterAll(async () => {
  await Promise.all([...started].map((program) => program.stop()));
  await server?.close();
});

/** The credential of a program. */
type Credential = { kind: 'key'; kid: string; keys: CryptoKeyPair } | { kind: 'certificate'; made: TestCertificate };

async function makeKey(kid: string): Promise<Credential> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  return { kind: 'key', kid, keys: await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) };
}

async function makeSelfSigned(subject: string): Promise<Credential> {
  return { kind: 'certificate', made: makeCertificate({ subject, notAfter: new Date(Date.now() + 365 * day) }) };
}

async function jwkOf(credential: Credential): Promise<object> {
  if (credential.kind === 'key') {
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', credential.keys.publicKey);
    return { kty, crv, x, y, kid: credential.kid };
  }
  const { x509 } = credential.made;
  return {
    ...createPublicKey(x509.publicKey.export({ type: 'spki', format: 'pem' })).export({ format: 'jwk' }),
    x5c: [x509.raw.toString('base64')],
  };
}

async function registrationOf(credential: Credential): Promise<object> {
  const auth_method = credential.kind === 'key' ? 'private_key_jwt' : 'self_signed_tls_client_auth';
  return { auth_method, jwks: { keys: [await jwkOf(credential)] } };
}

async function act(path: string, body: object = {}) {
  const answer = await server.adminFetch(path, { method: 'POST', body });
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  return answer.json;
}

type Answered = { with: Credential; headers: Headers };

/** A program that requests tokens with openid-client without a pause. */
type Program = {
  /** The credential that it uses from its next request on. */
  credential: Credential;
  answers: Answered[];
  failures: unknown[];
  /** Resolves after this many more answers to requests with the current credential. */
  answered(count: number): Promise<void>;
  /** Stops after the request in progress. */
  stop(): Promise<void>;
  start(): void;
};

const started = new Set<Program>();

async function createProgram(clientId: string, name: string, credential: Credential): Promise<Program> {
  const discovered = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });
  let running: Promise<void> | undefined;
  let isStopping = false;
  let status = 0;

  async function request(): Promise<void> {
    const used = program.credential;
    const authentication =
      used.kind === 'key' ? client.PrivateKeyJwt({ key: used.keys.privateKey, kid: used.kid }) : client.TlsClientAuth();
    const metadata = { [client.clockSkew]: Math.round(passedMs / 1_000), use_mtls_endpoint_aliases: false };
    const configuration = new client.Configuration(discovered.serverMetadata(), clientId, metadata, authentication);
    client.allowInsecureRequests(configuration);
    let headers = new Headers();
    configuration[client.customFetch] = async (url, options) => {
      // A proxy that terminates TLS hands the certificate over in a header.
      const certificate: Record<string, string> =
        used.kind === 'certificate' ? { 'Client-Cert': `:${used.made.x509.raw.toString('base64')}:` } : {};
      const answer = await fetch(url, {
        ...(options as RequestInit),
        headers: { ...options.headers, ...certificate, 'user-agent': name },
      });
      headers = answer.headers;
      status = answer.status;
      return answer;
    };
    const { access_token: token } = await client.clientCredentialsGrant(configuration);
    if (!token) throw new Error('no token');
    program.answers.push({ with: used, headers });
  }

  const program: Program = {
    credential,
    answers: [],
    failures: [],
    answered: async (count) => {
      const wanted = program.credential;
      const seen = () => program.answers.filter((answer) => answer.with === wanted).length;
      const target = seen() + count;
      while (seen() < target && program.failures.length === 0) await new Promise(setImmediate);
      if (seen() < target && name !== 'once') throw new Error('a request failed', { cause: program.failures[0] });
    },
    stop: async () => {
      isStopping = true;
      await running;
    },
    start: () => {
      isStopping = false;
      running = (async () => {
        while (!isStopping) {
          await request().catch((error: unknown) => {
            // Clients retry a 503: a store may be slow on a busy machine.
            if (status !== 503) program.failures.push({ status, error });
          });
        }
      })();
    },
  };
  started.add(program);
  program.start();
  return program;
}

/** Lets time pass between two requests of each program. */
async function pass(programs: readonly Program[], milliseconds: number): Promise<void> {
  await Promise.all(programs.map((program) => program.stop()));
  passedMs += milliseconds;
  for (const program of programs) program.start();
}

/** Returns the status of the answer to one request with a credential. */
async function statusFor(clientId: string, credential: Credential): Promise<number | undefined> {
  const program = await createProgram(clientId, 'once', credential);
  await program.answered(1);
  await program.stop();
  const [failure] = program.failures;
  return failure ? (failure as { status?: number }).status : 200;
}

test.each([
  ['key', makeKey],
  ['certificate', makeSelfSigned],
])('programs with openid-client change to a new %s one after the other, without a failed request', async (_, make) => {
  const [old, next] = [await make('old'), await make('new')];
  const { client_id: id } = await act('/clients', {
    name: 'Shop',
    kind: 'integration',
    ...(await registrationOf(old)),
  });
  const [web, nightly] = [await createProgram(id, 'web', old), await createProgram(id, 'nightly', old)];
  const programs = [web, nightly];
  const everybodyAnswered = (count: number) => Promise.all(programs.map((program) => program.answered(count)));
  /** Lets time pass while both programs request a token every half an hour. */
  const workFor = async (milliseconds: number) => {
    for (let left = milliseconds; left > 0; left -= hour / 2) {
      await pass(programs, hour / 2);
      await everybodyAnswered(1);
    }
  };
  await everybodyAnswered(3);
  expect(web.answers[0]?.headers.get('sunset')).toBeNull();
  await workFor(hour);

  const replace = await registrationOf(next);
  const { confirmation } = await act(`/clients/${id}/regeneration/review`, { replace });
  const { previous } = await act(`/clients/${id}/regenerate`, {
    replace,
    confirmation,
    finish_when_unused: true,
    overlap_seconds: 604_800,
  });
  // Both programs still use the old one, and each answer says until when they can.
  await everybodyAnswered(5);
  const endsAt = new Date(previous.retires_at).toUTCString();
  for (const program of programs) expect(program.answers.at(-1)?.headers.get('sunset')).toBe(endsAt);
  expect(web.answers.at(-1)?.headers.get('deprecation')).toMatch(/^@\d+$/);

  const regeneration = async () => {
    await server.core.usage.flush();
    await finishUnused({ ...server.core, lockOwner: lockSecretOwner });
    return (await server.adminFetch(`/clients/${id}/regenerations`)).json.data[0];
  };
  web.credential = next;
  await everybodyAnswered(5);
  expect(web.answers.at(-1)?.headers.get('sunset')).toBeNull();
  await workFor(3 * hour);
  expect(await regeneration()).toMatchObject({ state: 'overlapping', moved: [{}], still_using_old: [{}] });

  nightly.credential = next;
  await everybodyAnswered(5);
  expect(await regeneration()).toMatchObject({ state: 'overlapping' });
  await workFor(3 * hour);
  expect(await regeneration()).toMatchObject({ state: 'finished', ended_by: 'Keyturn' });
  await everybodyAnswered(3);

  await Promise.all(programs.map((program) => program.stop()));
  expect(programs.flatMap(({ failures }) => failures)).toEqual([]);
  expect([await statusFor(id, old), await statusFor(id, next)]).toEqual([401, 200]);
});

test('a program with openid-client changes to the next key of its jwks_uri, without a failed request', async () => {
  const [old, next] = [await makeKey('old'), await makeKey('new')];
  published = [await jwkOf(old)];
  const { client_id: id } = await act('/clients', {
    name: 'Shop',
    kind: 'integration',
    auth_method: 'private_key_jwt',
    jwks_uri: 'https://keys.example/jwks.json',
  });
  const program = await createProgram(id, 'web', old);
  await program.answered(3);
  published = [await jwkOf(old), await jwkOf(next)];
  await program.answered(3);
  // An unknown kid makes the server fetch the URL again, at most once a minute.
  await pass([program], 61_000);
  program.credential = next;
  await program.answered(5);
  published = [await jwkOf(next)];
  await program.answered(5);
  // Keys are fetched again after five minutes.
  await pass([program], 6 * 60_000);
  await program.answered(5);
  await program.stop();
  expect(program.failures).toEqual([]);
  expect([await statusFor(id, old), await statusFor(id, next)]).toEqual([401, 200]);
});
