import { post } from '../oauth/http-client.ts';
import {
  askWith,
  jwkOf,
  makeKey,
  makeSelfSigned,
  type Proof,
  proofEnv,
  registrationOf,
} from '../regeneration/proof.ts';
import { githubClaims, makeIssuerKey, signWith } from '../trusts/fake-issuer.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

const day = 86_400_000;
let server: ConsoleServer;
let cookie: string;
let now = Date.now();

beforeAll(async () => {
  server = await startConsole({ env: proofEnv, clock: () => now });
  const body = { name: 'API', kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] };
  await server.adminFetch('/clients', { method: 'POST', body });
});
beforeEach(async () => {
  cookie = await server.signIn(await server.operatorToken());
});
afterAll(() => server?.close());

async function register(name: string, proof?: Exclude<Proof, { kind: 'secret' }>) {
  const authentication = proof ? { ...registrationOf(proof), tls_client_certificate_bound_access_tokens: false } : {};
  const body = { name, kind: 'integration', scope: 'orders:read', ...authentication };
  const { json } = await server.adminFetch('/clients', { method: 'POST', body });
  return { id: json.client_id as string, secret: json.client_secret as string };
}

const ask = (id: string, proof: Proof) => askWith(`${server.publicUrl}/oauth2/token`, id, proof, { now });
const jwks = (...keys: (Proof & { kind: 'key' })[]) => JSON.stringify({ keys: keys.map(jwkOf) });
const read = async (id: string) => (await server.adminFetch(`/clients/${id}`)).json;
const plain = (text: string) =>
  text
    .replace(/<(script|style).*?<\/\1>|<[^>]+>/gs, ' ')
    .replace(/\s+/g, ' ')
    .trim();

/** Returns the fields of the form on a page that is sent to `action`. */
function fieldsOf(text: string, action: string): Record<string, string> {
  const [, form = ''] = new RegExp(`<form[^>]*action="${action}"[^>]*>(.*?)</form>`, 's').exec(text) ?? [];
  const unescapeHtml = (value: string) =>
    value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
  const hidden = form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g);
  return Object.fromEntries([...hidden].map(([, name = '', value = '']) => [name, unescapeHtml(value)]));
}

describe('replacing what a client authenticates with, in the console', () => {
  it('reviews who uses which key, keeps both keys for the grace period, and shows the progress', async () => {
    const [first, kept, next] = [await makeKey(), await makeKey(), await makeKey()];
    const { id } = await register('Signs', first);
    const patch = { jwks: { keys: [jwkOf(first), jwkOf(kept)] } };
    expect((await server.adminFetch(`/clients/${id}`, { method: 'PATCH', body: patch })).status).toBe(200);
    expect((await ask(id, first)).status).toBe(200);
    const at = `/console/clients/${id}`;

    const page = await server.look(at, cookie);
    expect(page.text).toContain(`href="${at}/replace"`);
    const form = await server.look(`${at}/replace`, cookie);
    expect(form.text).toMatch(/value="private_key_jwt" checked|checked value="private_key_jwt"/);
    expect(form.text).toContain(`&quot;kid&quot;: &quot;${first.kid}&quot;`);

    const entered = { auth_method: 'private_key_jwt', proof: jwks(kept, next) };
    const review = await server.send(`${at}/replace/review`, entered, cookie);
    expect(review.status).toBe(200);
    const text = plain(review.text);
    expect(text).toContain(`${kept.kid} key accepted already`);
    expect(text).toContain(`${next.kid} key new`);
    expect(text).toMatch(new RegExp(`${first.kid} key rejected (no user agent|\\S+) .*127.0.0.1`));
    expect(text).toMatch(new RegExp(`${kept.kid} key still accepted no source never 0`));
    expect((await read(id)).jwks.keys).toHaveLength(2);

    const sent = { ...fieldsOf(review.text, `${at}/regenerate`), overlap_seconds: '86400' };
    const made = await server.sendAndLook(`${at}/regenerate`, sent, cookie);
    expect(plain(made.text)).toContain('Replaced. The client authenticates with its own key from now on.');
    expect(made.text).toMatch(/regenerations\/[\w-]+\/undo/);
    for (const key of [first, kept, next]) expect((await ask(id, key)).status).toBe(200);
    const progress = plain((await server.look(at, cookie)).text);
    expect(progress).toContain(
      `The new keys ${kept.kid}, ${next.kid} and the previous keys ${first.kid}, ${kept.kid} both work.`,
    );
    expect(progress).toContain('The only source has not moved. If the grace period ended now, it would fail.');
    expect(progress).toMatch(/It (has never used|uses) the new key/);
    const mark = /href="([^"]+\/mark-moved\?[^"]+)"/.exec((await server.look(at, cookie)).text)?.[1] ?? '';
    const asksToMark = await server.look(mark.replaceAll('&amp;', '&'), cookie);
    expect(plain(asksToMark.text)).toContain('Mark this source as moved?');
    const [act = ''] = mark.split('?');
    const marked = await server.sendAndLook(act, fieldsOf(asksToMark.text, act), cookie);
    expect(plain(marked.text)).toContain('marked as moved An operator marked it on');
    expect(plain(marked.text)).toContain('The only source has moved to the new key.');
    const withdraw = /href="([^"]+\/unmark-moved\?[^"]+)"/.exec(marked.text)?.[1] ?? '';
    const asksToWithdraw = await server.look(withdraw.replaceAll('&amp;', '&'), cookie);
    expect(plain(asksToWithdraw.text)).toContain('Withdraw the mark of this source?');
    const [unmark = ''] = withdraw.split('?');
    const withdrawn = await server.sendAndLook(unmark, fieldsOf(asksToWithdraw.text, unmark), cookie);
    expect(plain(withdrawn.text)).toContain('Mark withdrawn.');
    expect(plain(withdrawn.text)).toContain('The only source has not moved.');
    now += day;
    expect((await ask(id, first)).status).toBe(401);
    expect((await ask(id, next)).status).toBe(200);
  });

  it('replaces a secret by a certificate in PEM, which can be undone, extended and finished', async () => {
    const { id, secret } = await register('Gets a certificate');
    const certificate = makeSelfSigned('pod');
    const at = `/console/clients/${id}`;
    const entered = { auth_method: 'self_signed_tls_client_auth', proof: certificate.certificate.cert };
    const rotate = async () => {
      const review = await server.send(`${at}/replace/review`, entered, cookie);
      expect(plain(review.text)).toContain('must move to the new certificate');
      const { location } = await server.send(`${at}/regenerate`, fieldsOf(review.text, `${at}/regenerate`), cookie);
      const { text } = await server.look(location ?? '', cookie);
      return /regenerations\/([\w-]+)\/undo/.exec(text)?.[1] ?? '';
    };
    const old: Proof = { kind: 'secret', secret };
    expect((await ask(id, old)).status).toBe(200);
    const undone = await rotate();
    expect((await ask(id, certificate)).status).toBe(200);
    const undo = await server.look(`${at}/regenerations/${undone}/undo`, cookie);
    expect(plain(undo.text)).toContain('The previous secret becomes the current one again');
    expect(plain(undo.text)).toMatch(/1 source uses the new certificate and will fail/);
    await server.send(`${at}/regenerations/${undone}/undo`, {}, cookie);
    expect([(await ask(id, old)).status, (await ask(id, certificate)).status]).toEqual([200, 401]);

    const kept = await rotate();
    await server.send(`${at}/regenerations/${kept}/extend`, { seconds: '604800' }, cookie);
    expect(Date.parse((await read(id)).retires_at) - now).toBe(7 * day);
    const finish = `${at}/regenerations/${kept}/finish`;
    const asked = await server.send(finish, { name: 'Something else' }, cookie);
    expect(asked.status).toBe(400);
    expect(asked.text).toContain('aria-invalid="true"');
    await server.send(finish, { name: 'Gets a certificate' }, cookie);
    expect([(await ask(id, old)).status, (await ask(id, certificate)).status]).toEqual([401, 200]);
  });

  it('replaces keys by a secret, which is shown once', async () => {
    const { id } = await register('Gets a secret', await makeKey());
    const at = `/console/clients/${id}`;
    expect((await server.look(`${at}/regenerate`, cookie)).location).toBe(`${at}/replace`);
    const review = await server.send(`${at}/replace/review`, { auth_method: 'client_secret_basic' }, cookie);
    const sent = fieldsOf(review.text, `${at}/regenerate`);
    const made = await server.sendAndLook(`${at}/regenerate`, sent, cookie);
    const secret = /kts_\w{49}/.exec(made.text)?.[0] ?? '';
    expect((await ask(id, { kind: 'secret', secret })).status).toBe(200);
  });

  it('registers a name of a certificate, such as a DNS name', async () => {
    const { id } = await register('Named');
    const at = `/console/clients/${id}`;
    const entered = { auth_method: 'tls_client_auth', subject_field: 'tls_client_auth_san_dns', proof: 'sync.example' };
    const review = await server.send(`${at}/replace/review`, entered, cookie);
    await server.send(`${at}/regenerate`, fieldsOf(review.text, `${at}/regenerate`), cookie);
    expect(await read(id)).toMatchObject({ auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'sync.example' });
  });

  it.each([
    ['private_key_jwt', '', 'Enter the JWK set with its public keys'],
    ['private_key_jwt', '{"keys":', 'This is not a JWK set in JSON.'],
    ['private_key_jwt', '{"keys":[]}', 'Must contain 1 to 10 keys.'],
    ['private_key_jwt', 'http://127.0.0.1/keys', 'Must be an https URL with a public address.'],
    ['self_signed_tls_client_auth', '-----BEGIN CERTIFICATE-----', 'has no certificate in PEM'],
    ['tls_client_auth', 'no name', 'Keys or certificate'],
  ])('says at the field what is wrong with %s %j, and keeps what was entered', async (method, proof, said) => {
    const { id } = await register('Stays');
    const before = await read(id);
    const entered = { auth_method: method, proof, subject_field: 'tls_client_auth_san_ip' };
    const answer = await server.send(`/console/clients/${id}/replace/review`, entered, cookie);
    expect(answer.status).toBe(400);
    expect(plain(answer.text)).toContain(said);
    expect(answer.text).toMatch(/<textarea[^>]*aria-invalid="true"/);
    expect(answer.text).toContain('aria-describedby="error-proof hint-proof"');
    expect(answer.text).toContain(`>${proof.replaceAll('"', '&quot;')}</textarea>`);
    expect(answer.text).toMatch(new RegExp(`value="${method}" checked|checked value="${method}"`));
    expect(await read(id)).toEqual(before);
  });

  it('shows a new review and changes nothing if the impact has changed since the review', async () => {
    const [first, next] = [await makeKey(), await makeKey()];
    const { id } = await register('Changes', first);
    const at = `/console/clients/${id}`;
    const entered = { auth_method: 'private_key_jwt', proof: jwks(next) };
    const review = await server.send(`${at}/replace/review`, entered, cookie);
    await ask(id, first);
    const sent = { ...fieldsOf(review.text, `${at}/regenerate`), overlap_seconds: '604800' };
    const fresh = await server.send(`${at}/regenerate`, sent, cookie);
    expect(fresh.status).toBe(409);
    expect(plain(fresh.text)).toContain('The impact has changed since your review');
    expect(fresh.text).toMatch(/<option (selected value="604800"|value="604800" selected)/);
    const again = { ...sent, ...fieldsOf(fresh.text, `${at}/regenerate`) };
    expect((await server.send(`${at}/regenerate`, again, cookie)).status).toBe(303);
    expect((await read(id)).jwks.keys).toEqual([jwkOf(next)]);
  });

  it('asks for the name of the client if there is no grace period', async () => {
    const { id } = await register('Leaked');
    const at = `/console/clients/${id}`;
    const { text } = await server.look(`${at}/regenerate`, cookie);
    const sent = fieldsOf(text, `${at}/regenerate`);
    for (const final of [{ revoke_tokens: 'on' }, { overlap_seconds: '0' }]) {
      const asked = await server.send(`${at}/regenerate`, { ...sent, ...final }, cookie);
      expect(asked.status).toBe(409);
      expect(asked.text).toContain('The name that you typed does not match “Leaked”.');
      expect(asked.text).toContain('aria-invalid="true"');
    }
    const { status } = await server.send(`${at}/regenerate`, { ...sent, revoke_tokens: 'on', name: 'Leaked' }, cookie);
    expect(status).toBe(303);
  });

  it('moves from a secret to a workload identity: trust, trial, review, grace period and undo', async () => {
    const { id, secret } = await register('Pipeline');
    const signer = await makeIssuerKey('ci-1');
    const issuer = 'https://ci.example.com';
    const token = async (changes: object = {}) =>
      await signWith(signer, {
        ...githubClaims(issuer, { now: Math.floor(now / 1_000), audience: proofEnv.KEYTURN_ISSUER }),
        ...changes,
      });
    const form = { client: id, name: 'Deployment', preset: 'github', issuer, source: 'jwks', max_lifetime: '3600' };
    const given = { ...form, audience: proofEnv.KEYTURN_ISSUER, proof: JSON.stringify({ keys: [signer.jwk] }) };
    const send = (path: string, fields: Record<string, string> = {}) =>
      server.sendAndLook(`/console${path}`, { once: crypto.randomUUID(), ...fields }, cookie);

    const proposed = (await server.look(`/console/trusts/new?preset=github&client_id=${id}`, cookie)).text;
    expect(proposed).toContain('repository_id=\nenvironment=production</textarea>');
    expect(proposed).toContain('value="https://token.actions.githubusercontent.com"');
    for (const [conditions, said] of [
      ['repository_id=', '“repository_id=” is not a claim with a value'],
      ['repository=octo-org/shop', 'a repository with the same name can be created again'],
    ]) {
      const refused = await send('/trusts/new', { ...given, conditions: conditions ?? '', enabled: 'on' });
      expect([refused.status, plain(refused.text)]).toEqual([400, expect.stringContaining(said ?? '')]);
    }
    const conditions = 'repository_id=719384512\nenvironment=production|canary\nref=refs/heads/*';
    const created = await send('/trusts/new', { ...given, conditions, enabled: 'on' });
    expect(plain(created.text)).toContain('Its tokens are not accepted yet.');
    expect(created.text).toContain('environment=production|canary');
    const trustId = /\/console\/trusts\/([\w-]{36})\/edit/.exec(created.text)?.[1] ?? '';
    expect(plain((await server.look(`/console/trusts?client_id=${id}`, cookie)).text)).toContain('Deployment');

    const good = await send('/trusts/test', { token: await token() });
    expect(plain(good.text)).toContain('Token accepted');
    const bad = await send('/trusts/test', { token: await token({ environment: 'staging' }) });
    expect(plain(bad.text)).toContain('environment not met one of production, canary staging');
    expect(bad.text).not.toContain('eyJ');

    const tokenBy = async () =>
      (
        await post(`${server.publicUrl}/oauth2/token`, {
          grant_type: 'client_credentials',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await token(),
        })
      ).status;
    expect([await tokenBy(), (await ask(id, { kind: 'secret', secret })).status]).toEqual([401, 200]);
    const at = `/clients/${id}`;
    const review = await send(`${at}/replace/review`, fieldsOf(created.text, `/console${at}/replace/review`));
    expect(plain(review.text)).toContain('must move to the new identity');
    const made = await send(`${at}/regenerate`, fieldsOf(review.text, `/console${at}/regenerate`));
    expect([await tokenBy(), (await ask(id, { kind: 'secret', secret })).status]).toEqual([200, 200]);
    const undo = /regenerations\/[\w-]+\/undo/.exec(made.text)?.[0] ?? '';
    await send(`${at}/${undo}`);
    expect([await tokenBy(), (await ask(id, { kind: 'secret', secret })).status]).toEqual([401, 200]);

    const edit = await server.look(`/console/trusts/${trustId}/edit`, cookie);
    const revision = fieldsOf(edit.text, `/console/trusts/${trustId}/edit`)['revision'] ?? '';
    const changed = { ...given, conditions: 'repository_id=1\nenvironment=a\\|b', source: 'discovery', revision };
    const saved = await send(`/trusts/${trustId}/edit`, changed);
    expect(plain(saved.text)).toMatch(/Saved\..*disabled.*found by discovery/);
    expect((await server.adminFetch(`/trusts/${trustId}`)).json).toMatchObject({
      enabled: false,
      conditions: [{ equals: '1' }, { claim: 'environment', equals: 'a|b' }],
    });
    expect((await send(`/trusts/${trustId}/delete`, { name: 'Something else' })).status).toBe(400);
    expect((await send(`/trusts/${trustId}/delete`, { name: 'Deployment' })).text).toContain('Deleted.');
    expect((await server.adminFetch(`/trusts/${trustId}`)).status).toBe(404);
  });
});
