import * as fc from 'fast-check';
import { rawBasic } from './http-client.ts';

/** The valid and invalid values that requests are built from. */
export type Cast = {
  integrations: readonly (readonly [id: string, secret: string])[];
  servers: readonly (readonly [id: string, secret: string])[];
  strangers: readonly (readonly [id: string, secret: string])[];
  tokens: readonly string[];
  accessKeys: readonly string[];
  resources: readonly string[];
};

type Draft = {
  method: string;
  target: string;
  version: string;
  headers: [name: string, value: string][];
  /** In Latin-1: one character per byte. */
  body: string;
  /** Undefined for the length of the body. */
  contentLength: string | undefined;
  isChunked: boolean;
};

type Twist = (draft: Draft) => Draft;

/**
 * Generates raw HTTP requests, one to three per connection and split anywhere: valid ones, valid ones with some
 * relevant or irrelevant changes, and hostile ones. The last one asks to close the connection.
 */
export function rawRequests(cast: Cast): fc.Arbitrary<Buffer[]> {
  const draft = fc
    .tuple(
      fc.oneof({ weight: 5, arbitrary: tokenDraft(cast) }, { weight: 4, arbitrary: introspectionDraft(cast) }),
      twists(cast),
    )
    .map(([plain, changes]) => changes.reduce((changed, twist) => twist(changed), plain));
  const drafts = fc.oneof(
    { weight: 6, arbitrary: draft.map((one) => [one]) },
    { weight: 1, arbitrary: fc.array(draft, { minLength: 2, maxLength: 3 }) },
  );
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 2 });
  return fc
    .tuple(drafts, fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: cuts }))
    .map(([all, at]) => {
      const bytes = Buffer.concat(all.map((one, index) => written(one, index === all.length - 1)));
      return cut(bytes, at);
    });
}

const instanceNames = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('pod-0', 'pod 0', '', ' ', 'x'.repeat(128)) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(129), 'é', 'e\u0301', '訂單', '\u202e', '\u200b', '\x1f') },
);

function tokenDraft(cast: Cast): fc.Arbitrary<Draft> {
  const scope = fc.constantFrom(
    'orders:read',
    'orders:create orders:read',
    'products:read orders:read orders:read',
    'orders:read  products:read',
    ' orders:read',
    'orders:read ',
    ' ',
    '',
    'orders:delete',
    'orders.read',
    'read:orders orders:create',
    'orders.export orders.read',
    'shared',
    'nothing:read',
    'orders:read\torders:create',
    '__proto__',
    'orders:réad',
    'a"b',
  );
  const form = fc
    .record(
      {
        scope: fc.oneof({ weight: 3, arbitrary: fc.constant('orders:read') }, { weight: 2, arbitrary: scope }),
        resource: fc.constantFrom(...cast.resources, '', 'https://nobody.example'),
        access_key: fc.constantFrom(...cast.accessKeys, '', 'ktk_no'),
        client_instance: instanceNames,
      },
      { requiredKeys: [] },
    )
    .map((fields) => ({ grant_type: 'client_credentials', ...fields }));
  return authenticated('/oauth2/token', form, cast.integrations, cast);
}

function introspectionDraft(cast: Cast): fc.Arbitrary<Draft> {
  const form = fc.record(
    {
      token: fc.constantFrom(...cast.tokens),
      token_type_hint: fc.constantFrom('access_token', 'refresh_token', 'whatever', ''),
      access_key: fc.constantFrom(...cast.accessKeys, ''),
      used_scope: fc.constantFrom('orders:read', 'other:read'),
      client_instance: instanceNames,
    },
    { requiredKeys: ['token'] },
  );
  const plain = fc.record({ token: fc.constantFrom(...cast.tokens) });
  return authenticated('/oauth2/introspect', fc.oneof(plain, form), cast.servers, cast);
}

/** Adds credentials with Basic or in the form, most of the time valid ones. */
function authenticated(
  target: string,
  form: fc.Arbitrary<Record<string, string>>,
  right: Cast['integrations'],
  cast: Cast,
): fc.Arbitrary<Draft> {
  const others = fc.constantFrom(...cast.integrations, ...cast.servers, ...cast.strangers);
  const credentials = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: others });
  return fc.tuple(form, credentials, fc.boolean(), fc.boolean()).map(([fields, [id, secret], isPosted, isFirst]) => {
    const secrets = isPosted ? { client_id: id, client_secret: secret } : {};
    const body = new URLSearchParams(isFirst ? { ...secrets, ...fields } : { ...fields, ...secrets }).toString();
    return {
      method: 'POST',
      target,
      version: 'HTTP/1.1',
      headers: [
        ['Host', '127.0.0.1'],
        ['Content-Type', 'application/x-www-form-urlencoded'],
        ...(isPosted ? [] : ([['Authorization', rawBasic(`${id}:${secret}`)]] as [string, string][])),
      ],
      body,
      contentLength: undefined,
      isChunked: false,
    };
  });
}

/** Generates no changes most of the time, otherwise one to three. */
function twists(cast: Cast): fc.Arbitrary<Twist[]> {
  const twist = fc.oneof(headerTwist(cast), bodyTwist(cast), targetTwist(), authorizationTwist(cast));
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant<Twist[]>([]) },
    { weight: 5, arbitrary: fc.array(twist, { minLength: 1, maxLength: 3 }) },
  );
}

const addHeader =
  (name: string, value: string): Twist =>
  (draft) => ({ ...draft, headers: [...draft.headers, [name, value]] });

const replaceHeader =
  (name: string, value: string | undefined): Twist =>
  (draft) => {
    const rest = draft.headers.filter(([known]) => known.toLowerCase() !== name.toLowerCase());
    return { ...draft, headers: value === undefined ? rest : [...rest, [name, value]] };
  };

function headerTwist(cast: Cast): fc.Arbitrary<Twist> {
  const added = fc.constantFrom<[string, string]>(
    ['Accept', '*/*'],
    ['Accept', 'text/html'],
    ['Accept', 'application/token-introspection+jwt'],
    ['Accept', 'Application/Token-Introspection+JWT, application/json;q=0.5'],
    ['Accept', 'application/token-introspection+jwt;q=0.1, */*'],
    ['User-Agent', 'café'],
    ['User-Agent', ''],
    ['Keyturn-Instance', 'pod-0'],
    ['keyturn-instance', 'pod-1'],
    ['Keyturn-Instance', ''],
    ['Keyturn-Instance', 'é'],
    ['Keyturn-Instance', 'Ã©'],
    ['Keyturn-Instance', 'x'.repeat(129)],
    ['X-Forwarded-For', '10.0.0.1'],
    ['X-Forwarded-Host', 'evil.example'],
    ['X-HTTP-Method-Override', 'GET'],
    ['Origin', 'https://evil.example'],
    ['DPoP', 'x.y.z'],
    ['Content-Encoding', 'identity'],
    ['Content-Encoding', 'gzip'],
    ['Content-Encoding', ''],
    ['Expect', '100-continue'],
    ['Expect', 'nonsense'],
    ['Cookie', 'a=b; _session=1'],
    ['Upgrade', 'h2c'],
    ['TE', 'trailers'],
    ['TE', 'gzip, chunked'],
    ['Trailer', 'X'],
    ['Connection', 'keep-alive'],
    ['If-None-Match', '*'],
    ['Range', 'bytes=0-1'],
    ['Host', '127.0.0.1'],
    ['Host', 'evil.example'],
    ['Content-Type', 'application/x-www-form-urlencoded'],
    ['Content-Type', 'application/json'],
    ['Content-Length', '3'],
    ['Transfer-Encoding', 'identity'],
    ['Transfer-Encoding', 'gzip, chunked'],
    ['__proto__', 'x'],
    ['constructor', 'x'],
  );
  const replaced = fc.constantFrom<[string, string | undefined]>(
    ['Host', 'localhost:4000'],
    ['Host', 'LOCALHOST:4000'],
    ['Host', '127.0.0.1:80'],
    ['Host', '127.0.0.1:'],
    ['Host', 'evil.example'],
    ['Host', ''],
    ['Host', undefined],
    ['hOST', '127.0.0.1'],
    ['Content-Type', undefined],
    ['Content-Type', ''],
    ['Content-Type', 'application/json'],
    ['Content-Type', 'APPLICATION/X-WWW-FORM-URLENCODED'],
    ['content-type', 'application/x-www-form-urlencoded; charset=UTF-8'],
    ['Content-Type', 'application/x-www-form-urlencoded;charset=utf-16'],
    ['Content-Type', 'application/x-www-form-urlencodedX'],
    ['Content-Type', 'application/x-www-form-urlencoded, application/json'],
    ['Authorization', undefined],
    ['Authorization', ''],
    ['Authorization', `Bearer ${cast.tokens[0]}`],
  );
  const many = fc.constantFrom(48, 49, 50, 51, 97, 98, 99, 100, 120).map(
    (count): Twist =>
      (draft) => ({
        ...draft,
        headers: [...draft.headers, ...Array.from({ length: count }, (_, at): [string, string] => [`X-${at}`, 'x'])],
      }),
  );
  return fc.oneof(
    { weight: 5, arbitrary: added.map(([name, value]) => addHeader(name, value)) },
    { weight: 4, arbitrary: replaced.map(([name, value]) => replaceHeader(name, value)) },
    { weight: 1, arbitrary: many },
    {
      weight: 1,
      arbitrary: fc.constant<Twist>((draft) => ({ ...draft, headers: draft.headers.toReversed() })),
    },
    {
      weight: 1,
      arbitrary: fc.constant<Twist>((draft) => ({
        ...draft,
        headers: draft.headers.map(([name, value]) => [name.toUpperCase(), value]),
      })),
    },
  );
}

function authorizationTwist(cast: Cast): fc.Arbitrary<Twist> {
  const pairs = fc.constantFrom(...cast.integrations, ...cast.servers, ...cast.strangers);
  const change = fc.constantFrom<(id: string, secret: string) => string>(
    (id, secret) => rawBasic(`${id}:${secret}`).replace('Basic', 'basic'),
    (id, secret) => rawBasic(`${id}:${secret}`).replace('Basic ', 'BASIC   '),
    (id, secret) => rawBasic(`${id}:${secret}`).replace('Basic ', 'Basic\t'),
    (id, secret) => rawBasic(`${id}:${secret}`).replaceAll('=', ''),
    (id, secret) => `${rawBasic(`${id}:${secret}`)}=`,
    (id, secret) => `${rawBasic(`${id}:${secret}`)} junk`,
    (id, secret) => `${rawBasic(`${id}:${secret}`)}, ${rawBasic(`${id}:${secret}`)}`,
    (id, secret) => rawBasic(`${id}:${secret}\0`),
    (id, secret) => rawBasic(`${id}:${secret} `),
    (id, secret) => rawBasic(`${id}:${secret.toLowerCase()}`),
    (id, secret) => rawBasic(`${id}:${secret.slice(0, -1)}`),
    (id, secret) => rawBasic(`${id}:${secret}:`),
    (id, secret) => rawBasic(`%6b${id.slice(1)}:${secret}`),
    (id, secret) => rawBasic(`${id}:%6B${secret.slice(1)}`),
    (id, secret) => rawBasic(`%256b${id.slice(1)}:${secret}`),
    (id, secret) => rawBasic(`${id}+:${secret}`),
    (id, secret) => rawBasic(`${id}%:${secret}`),
    (id, secret) => rawBasic(`${id}%00:${secret}`),
    (id, secret) => rawBasic(`${id}%FF:${secret}`),
    (id) => rawBasic(`${id}:`),
    (id) => rawBasic(id),
    (_, secret) => rawBasic(`:${secret}`),
    () => 'Basic',
    () => 'Basic !!!!',
    (id, secret) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64url')}`,
  );
  return fc.tuple(pairs, change, fc.boolean()).map(([[id, secret], write, isSecond]) => {
    const value = write(id, secret);
    return isSecond ? addHeader('authorization', value) : replaceHeader('Authorization', value);
  });
}

function bodyTwist(cast: Cast): fc.Arbitrary<Twist> {
  const [token = ''] = cast.tokens;
  const [[id, secret] = ['', '']] = cast.integrations;
  const appended = fc.constantFrom(
    '&',
    '&&',
    '&=',
    '&x',
    '&x=1',
    '&x=1&x=2',
    '&=1&=2',
    '&grant_type=client_credentials',
    '&grant_type=',
    '&grant%5Ftype=password',
    '&scope=orders:read',
    '&scope=',
    '&scope=orders%3Aread',
    '&scope=orders:read+orders:create',
    '&sc%6Fpe=orders:read',
    '&resource=',
    `&resource=${encodeURIComponent(cast.resources[0] ?? '')}`,
    `&token=${token}`,
    '&token=',
    `&token=${token}%00`,
    `&token=%20${token}`,
    '&token[]=x',
    `&client_id=${id}`,
    `&client_id=${id}x`,
    '&client_id=',
    `&client_secret=${secret}`,
    '&client_secret=',
    '&client_assertion=x',
    '&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer',
    '&client_assertion=',
    '&audience=x',
    '&client_instance=pod-0',
    '&client_instance=',
    '&client_instance=%7F',
    '&client_instance=a%00',
    '&authorization_details=%5B%5D',
    '&request_uri=x',
    '&__proto__=x',
    '&__proto__[x]=1',
    '&constructor=1&toString=2',
    '&a=%',
    '&a=%zz',
    '&a=%FF',
    '&a=\xff\xfe',
    '&a=\0',
    '&a=%00',
    '&a=\r\n',
    ';scope=orders:read',
    '#scope=nothing:read',
    '&dpop_jkt=x',
    `&${'x'.repeat(2_000)}=1`,
    Array.from({ length: 300 }, (_, at) => `&p${at}=1`).join(''),
  );
  const whole = fc.constantFrom<Twist>(
    (draft) => ({ ...draft, body: '' }),
    (draft) => ({ ...draft, body: `?${draft.body}` }),
    (draft) => ({ ...draft, body: `\xef\xbb\xbf${draft.body}` }),
    (draft) => ({ ...draft, body: draft.body.replace('=', '%3D') }),
    (draft) => ({ ...draft, body: draft.body.replaceAll('_', '%5f') }),
    (draft) => ({ ...draft, body: draft.body.replaceAll('e', '%65') }),
    (draft) => ({ ...draft, body: draft.body.toUpperCase() }),
    (draft) => ({ ...draft, body: draft.body.replaceAll('&', ';') }),
    (draft) => ({ ...draft, body: JSON.stringify({ grant_type: 'client_credentials' }) }),
    (draft) => ({ ...draft, body: `${draft.body}&${draft.body}` }),
    (draft) => ({ ...draft, body: `${draft.body}&pad=${'x'.repeat(Math.max(0, 16_384 - draft.body.length - 5))}` }),
    (draft) => ({ ...draft, body: `${draft.body}&pad=${'x'.repeat(Math.max(0, 16_385 - draft.body.length - 5))}` }),
    (draft) => ({ ...draft, body: draft.body.replace('client_credentials', 'password') }),
    (draft) => ({ ...draft, body: draft.body.replace('client_credentials', 'client_credentials%20') }),
    (draft) => ({ ...draft, isChunked: true }),
    (draft) => ({ ...draft, isChunked: true, contentLength: String(draft.body.length) }),
    (draft) => ({ ...draft, contentLength: `0${draft.body.length}` }),
    (draft) => ({ ...draft, contentLength: `+${draft.body.length}` }),
    (draft) => ({ ...draft, contentLength: `0x${draft.body.length.toString(16)}` }),
    (draft) => ({ ...draft, contentLength: `${draft.body.length},${draft.body.length}` }),
    (draft) => ({ ...draft, contentLength: String(Math.max(0, draft.body.length - 3)) }),
    (draft) => ({ ...draft, contentLength: '0' }),
    (draft) => ({ ...draft, contentLength: '' }),
    (draft) => ({ ...draft, contentLength: '99999999999999999999' }),
  );
  return fc.oneof(
    {
      weight: 2,
      arbitrary: appended.map(
        (text): Twist =>
          (draft) => ({ ...draft, body: draft.body + text }),
      ),
    },
    {
      weight: 1,
      arbitrary: appended.map(
        (text): Twist =>
          (draft) => ({ ...draft, body: `${text.slice(1)}&${draft.body}` }),
      ),
    },
    { weight: 2, arbitrary: whole },
    {
      weight: 1,
      arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 20 }).map(
        (text): Twist =>
          (draft) => ({ ...draft, body: `${draft.body}&${text}` }),
      ),
    },
  );
}

function targetTwist(): fc.Arbitrary<Twist> {
  const target = fc.constantFrom<(target: string) => string>(
    (target) => `${target}?`,
    (target) => `${target}?x=1`,
    (target) => `${target}?client_secret=x`,
    (target) => `${target}?grant_type=client_credentials`,
    (target) => `${target}/`,
    (target) => `/${target}`,
    (target) => target.toUpperCase(),
    (target) => target.replace('oauth2', 'oauth%32'),
    (target) => `${target}#x`,
    (target) => `${target};x`,
    (target) => `http://127.0.0.1${target}`,
    (target) => `http://evil.example${target}`,
    // Exclude the revocation endpoint, because the tokens are needed for the whole run.
    () => '/oauth2/events',
    () => '/oauth2/token',
    () => '/oauth2/introspect',
    () => '/token',
    () => '*',
  );
  const line = fc.constantFrom<Partial<Draft>>(
    { version: 'HTTP/1.0' },
    { version: 'HTTP/1.2' },
    { version: 'HTTP/2.0' },
    { method: 'GET' },
    { method: 'PUT' },
    { method: 'post' },
    { method: 'OPTIONS' },
    { method: 'HEAD' },
  );
  return fc.oneof(
    target.map(
      (change): Twist =>
        (draft) => ({ ...draft, target: change(draft.target) }),
    ),
    line.map(
      (change): Twist =>
        (draft) => ({ ...draft, ...change }),
    ),
  );
}

function written(draft: Draft, isLast: boolean): Buffer {
  const { method, target, version, headers, body, isChunked } = draft;
  const length = draft.contentLength ?? (isChunked ? undefined : String(body.length));
  const lines = [
    `${method} ${target} ${version}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(isChunked ? ['Transfer-Encoding: chunked'] : []),
    ...(length === undefined ? [] : [`Content-Length: ${length}`]),
    ...(isLast ? ['Connection: close'] : []),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${isChunked ? chunked(body) : body}`, 'latin1');
}

function chunked(body: string): string {
  const middle = body.length >> 1;
  const parts = [body.slice(0, middle), body.slice(middle)].filter(Boolean);
  return `${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\n`;
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((part) => Math.floor(part * bytes.length)))].sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index])).filter(({ length }) => length > 0);
}
