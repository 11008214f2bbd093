import { disableClient, enableClient } from '../../src/clients/manage-clients.ts';
import { createAccessTokenVerifier } from '../../src/resource-server/resource-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';
import { post } from '../oauth/http-client.ts';
import { watchStreams } from '../resource-server/watch-streams.ts';

const names = ['shop', 'stock', 'billing', 'mail', 'audit', 'archive', 'vault'] as const;
type Api = (typeof names)[number];
const resourceOf = (name: string) => `https://${name}.example`;

const streams = watchStreams();
let now = Date.now();
let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
const apis = {} as Record<Api, TestClient>;
let partner: TestClient;

beforeAll(async () => {
  const chain = names.slice(1).map((name, index) => `${resourceOf(names[index] ?? '')}=${resourceOf(name)}`);
  server = await startTestServer({ clock: () => now, env: { KEYTURN_TOKEN_EXCHANGES: chain.join(',') } });
  api = endpointsOf(server.publicUrl);
  for (const name of names) {
    const given = { name, kind: 'resource_server', resource: resourceOf(name), information: [name] } as const;
    apis[name] = await register(server.core, given);
  }
  const scope = names.map((name) => `${name}:read`).join(' ');
  partner = await register(server.core, { name: 'Partner', kind: 'integration', scope: `${scope} stock:update` });
});
afterAll(() => server?.close());

function exchange(by: TestClient, token: unknown, form: Record<string, string> = {}) {
  return post(
    `${server.publicUrl}/oauth2/token`,
    {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token: String(token),
      ...form,
    },
    { basic: [by.id, by.secret] },
  );
}

const toStock = { resource: resourceOf('stock') };
const tokenOf = async (answer: ReturnType<typeof exchange>) => (await answer).json['access_token'] as string;
const introspect = (token: string, name: Api) => api.introspect(apis[name], token);

describe('an API exchanges a token that it received for one for the next API (RFC 8693)', () => {
  it('for no more scope, for the same client, and names itself as the actor', async () => {
    const given = await api.accessToken(partner);
    const answer = await exchange(apis.shop, given, toStock);
    expect(answer).toMatchObject({
      status: 200,
      json: {
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        scope: 'stock:read stock:update',
      },
      headers: { 'cache-control': 'no-store' },
    });
    const token = answer.json['access_token'] as string;
    expect((await introspect(token, 'stock')).json).toMatchObject({
      active: true,
      sub: partner.id,
      client_id: partner.id,
      aud: resourceOf('stock'),
      scope: 'stock:read stock:update',
      act: { sub: apis.shop.id },
    });
    for (const name of ['shop', 'billing'] as const) expect((await introspect(token, name)).text).toBe(inactive);
    const narrower = await exchange(apis.shop, given, { ...toStock, scope: 'stock:read' });
    expect(narrower.json).toMatchObject({ scope: 'stock:read' });
  });

  it('lives no longer than the token that it was exchanged from', async () => {
    const given = await api.accessToken(partner);
    const { exp } = (await introspect(given, 'shop')).json;
    now += 3_000_000;
    const token = await tokenOf(exchange(apis.shop, given, toStock));
    expect((await introspect(token, 'stock')).json['exp']).toBe(exp);
  });

  it('at most five times, with a chain of actors', async () => {
    let token = await api.accessToken(partner);
    for (let step = 0; step < 5; step++) {
      const next = names[step + 1] as Api;
      const scope = names
        .slice(step + 1)
        .map((name) => `${name}:read`)
        .join(' ');
      token = await tokenOf(exchange(apis[names[step] as Api], token, { resource: resourceOf(next), scope }));
    }
    const { act } = (await introspect(token, 'archive')).json;
    const chain = (name: Api, inner?: object) => ({ sub: apis[name].id, ...(inner ? { act: inner } : {}) });
    expect(act).toEqual(chain('audit', chain('mail', chain('billing', chain('stock', chain('shop'))))));
    const sixth = await exchange(apis.archive, token, { resource: resourceOf('vault'), scope: 'vault:read' });
    expect(sixth).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  it.each<[string, () => Promise<unknown>, Record<string, string>, Api, string]>([
    [
      'for an API that is no configured pair',
      () => api.accessToken(partner),
      { resource: resourceOf('billing') },
      'shop',
      'invalid_target',
    ],
    [
      'against the direction of a pair',
      () => api.accessToken(partner),
      { resource: resourceOf('shop') },
      'stock',
      'invalid_target',
    ],
    ['without naming an API', () => api.accessToken(partner), {}, 'shop', 'invalid_target'],
    [
      'for a scope that the token does not have',
      () => api.accessToken(partner, { scope: 'shop:read stock:read' }),
      { ...toStock, scope: 'stock:update' },
      'shop',
      'invalid_scope',
    ],
    [
      'for a scope of another API',
      () => api.accessToken(partner),
      { ...toStock, scope: 'shop:read' },
      'shop',
      'invalid_scope',
    ],
    [
      'of a token without a scope there',
      () => api.accessToken(partner, { scope: 'shop:read' }),
      toStock,
      'shop',
      'invalid_scope',
    ],
    [
      'of a token that is bound to this API',
      () => api.accessToken(partner, { resource: resourceOf('shop') }),
      toStock,
      'shop',
      'invalid_scope',
    ],
    [
      'of a token that is not for this API',
      () => api.accessToken(partner, { scope: 'stock:read' }),
      toStock,
      'shop',
      'invalid_request',
    ],
    ['of an unknown token', async () => 'kta_x', toStock, 'shop', 'invalid_request'],
    ['of a client secret', async () => partner.secret, toStock, 'shop', 'invalid_request'],
    [
      'for somebody else as the actor',
      () => api.accessToken(partner),
      { ...toStock, actor_token: 'x', actor_token_type: 'y' },
      'shop',
      'invalid_request',
    ],
  ])('but not %s', async (_, subject, form, by, error) => {
    expect(await exchange(apis[by], await subject(), form)).toMatchObject({ status: 400, json: { error } });
  });

  it('but an integration cannot exchange at all, also not its own token', async () => {
    const answer = await exchange(partner, await api.accessToken(partner), toStock);
    expect(answer).toMatchObject({ status: 400, json: { error: 'unauthorized_client' } });
    expect((await exchange({ ...apis.shop, secret: partner.secret }, 'x', toStock)).status).toBe(401);
  });
});

describe('an exchanged token ends together with the first one', () => {
  async function makeChain() {
    const first = await api.accessToken(partner);
    const scope = 'stock:read billing:read';
    const second = await tokenOf(exchange(apis.shop, first, { ...toStock, scope }));
    const third = await tokenOf(exchange(apis.stock, second, { resource: resourceOf('billing') }));
    expect((await introspect(third, 'billing')).json).toMatchObject({ active: true });
    return { first, second, third };
  }

  it('when that is revoked, in every cache', async () => {
    const { first, second, third } = await makeChain();
    const verifier = createAccessTokenVerifier({
      issuer: 'http://localhost:4000',
      resource: resourceOf('billing'),
      clientId: apis.billing.id,
      clientSecret: apis.billing.secret,
      fetch: streams.watch((input, init) => fetch(`${server.publicUrl}${new URL(String(input)).pathname}`, init)),
    });
    // Without events, answers are cached for a short time only.
    await streams.followed();
    const later = await api.accessToken(partner);
    for (const token of [third, later]) expect((await verifier.verify(token)).clientId).toBe(partner.id);
    expect((await api.revoke(partner, first)).status).toBe(200);
    for (const [token, name] of [
      [second, 'stock'],
      [third, 'billing'],
    ] as const) {
      expect((await introspect(token, name)).text).toBe(inactive);
    }
    // Events arrive in order, so the one of a later revocation shows that the earlier one has arrived.
    expect((await api.revoke(partner, later)).status).toBe(200);
    const refusalOf = (token: string) => verifier.verify(token).catch((error: unknown) => error);
    await eventuallyIs(
      () => refusalOf(later),
      (found) => found instanceof Error,
    );
    const refusal = await refusalOf(third);
    expect(refusal).toMatchObject({ code: 'invalid_token' });
    verifier.close();
  });

  it('when an exchanged one in between is revoked, but not the earlier ones', async () => {
    const { first, second, third } = await makeChain();
    expect((await api.revoke(partner, second)).status).toBe(200);
    expect((await introspect(third, 'billing')).text).toBe(inactive);
    expect((await introspect(first, 'shop')).json).toMatchObject({ active: true });
  });

  it('while its client or an API that exchanged it is disabled', async () => {
    const { third } = await makeChain();
    const change = (id: string, by: typeof disableClient) =>
      server.core.change((transaction) => by(transaction, server.core, actor, id));
    await change(apis.shop.id, disableClient);
    expect((await introspect(third, 'billing')).text).toBe(inactive);
    await change(apis.shop.id, enableClient);
    expect((await introspect(third, 'billing')).json).toMatchObject({ active: true });
    await change(partner.id, disableClient);
    expect((await introspect(third, 'billing')).text).toBe(inactive);
    await change(partner.id, enableClient);
    expect((await introspect(third, 'billing')).text).toBe(inactive);
  });
});
