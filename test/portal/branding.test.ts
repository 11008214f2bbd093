import { maxLogoBytes } from '../../src/organizations/portal-settings.ts';
import { type PortalServer, portalCookie, startPortal } from './portal-server.ts';

const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
const dataUrl = (kind: string, bytes: Buffer) => `data:image/${kind};base64,${bytes.toString('base64')}`;
const logo = dataUrl('png', png);
const deployment = '00000000-0000-8000-8000-000000000001';

let server: PortalServer;
let organization: string;

beforeAll(async () => {
  server = await startPortal();
  organization = (await server.post('/organizations', { name: 'Acme' })).id;
});
afterAll(() => server.close());

const patch = (id: string, portal: object) =>
  server.adminFetch(`/organizations/${id}`, { method: 'PATCH', body: { portal } });
const person = () => ({ organization_id: organization, email: 'ann@acme.example', name: 'Ann' });

it('shows the look of the organization, and that of the deployment where it has none', async () => {
  const look = { name: 'Parcel Cloud', accent_color: '#AA00FF', support_url: 'https://help.example/', logo };
  expect((await patch(deployment, look)).status).toBe(200);
  await patch(organization, { name: 'Acme Cloud' });
  const cookie = await server.enter(person(), ['integrations:view']);
  const { text } = await server.open('/portal/', cookie);
  for (const part of ['Acme Cloud', logo, 'https://help.example/', '/portal/assets/accent.aa00ff.css']) {
    expect([part, text.includes(part)]).toEqual([part, true]);
  }
  expect(text).not.toMatch(/Parcel Cloud|Keyturn/);
  expect((await server.open('/portal/sign-in')).text).toContain('Parcel Cloud');
  const console = await server.look('/console/sign-in');
  expect(console.text).toContain('Keyturn');
});

it('is set on the page of the organization in the console', async () => {
  const cookie = await server.signIn((await server.operator()).token);
  const { text } = await server.look(`/console/organizations/${organization}/edit`, cookie);
  expect(text).toContain('value="Acme Cloud"');
  const form = { name: 'Acme', reveal: 'on', portal_name: 'Acme Portal', accent_color: '#112233' };
  const send = (more: object) =>
    server.send(`/console/organizations/${organization}/edit`, { ...form, ...more }, cookie);
  expect((await send({ frame_origins: 'https://a.example\nhttps://b.example' })).status).toBe(303);
  const { json } = await server.adminFetch(`/organizations/${organization}`);
  const frames = ['https://a.example', 'https://b.example'];
  expect(json.portal).toMatchObject({ name: 'Acme Portal', accent_color: '#112233', frame_origins: frames });
  expect((await send({ accent_color: 'blue' })).text).toContain('six hexadecimal digits');
  expect((await send({ logo })).status).toBe(303);
  const edit = await server.look(`/console/organizations/${organization}/edit`, cookie);
  expect(edit.text).toContain(`<img src="${logo}"`);
  expect((await send({ logo: 'https://elsewhere.example/logo.png' })).text).toContain('PNG, JPEG or WebP picture');
  expect((await send({ logo: '' })).status).toBe(303);
  expect((await server.adminFetch(`/organizations/${organization}`)).json.portal.logo).toBeNull();
});

it('accepts only small pictures that cannot contain scripts, and colours', async () => {
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>');
  const large = Buffer.concat([png, Buffer.alloc(maxLogoBytes)]);
  for (const wrong of [
    { logo: dataUrl('svg+xml', svg) },
    { logo: dataUrl('png', svg) },
    { logo: dataUrl('png', large) },
    { logo: 'https://elsewhere.example/logo.png' },
    { accent_color: 'red' },
    { accent_color: '#12345' },
    { support_url: 'javascript:alert(1)' },
    { return_url: 'http://elsewhere.example/' },
    { frame_origins: ['*'] },
    { frame_origins: ['https://app.example.com/'] },
    { frame_origins: ["https://a;script-src 'unsafe-inline'"] },
    { frame_origins: ['https://a;b.example'] },
    { return_origins: ['http://elsewhere.example'] },
  ]) {
    expect([wrong, (await patch(organization, wrong)).status]).toEqual([wrong, 400]);
  }
});

it('records the look in the audit log without the picture', async () => {
  await patch(organization, { logo });
  const { text } = await server.adminFetch('/audit-events?action=organization.update&limit=1');
  expect(text).not.toContain('base64');
  expect(text).toContain('"logo":"');
});

it('makes every accent colour readable in the light and the dark theme', async () => {
  const parts = ['00', '33', '66', '99', 'cc', 'ff'];
  const colors = parts.flatMap((red) => parts.flatMap((green) => parts.map((blue) => red + green + blue)));
  const poor: string[] = [];
  for (const color of colors) {
    const { status, text, headers } = await server.open(`/portal/assets/accent.${color}.css`);
    expect([status, headers.get('content-type')]).toEqual([200, 'text/css; charset=utf-8']);
    const themes = text.split('@media');
    for (const [index, grounds] of [
      ['#ffffff', '#f6f7f9', '#f1f2f5'],
      ['#181b21', '#101216', '#12151a'],
    ].entries()) {
      const value = (name: string) => new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(themes[index] ?? '')?.[1] ?? '';
      const accent = value('accent');
      const pairs = [...grounds, value('on-accent'), value('accent-ground')].map((ground) => contrast(accent, ground));
      if (pairs.some((ratio) => ratio < 4.5)) poor.push(`${color} ${index}: ${pairs.join(' ')}`);
      if (contrast(value('accent-strong'), value('on-accent')) < 4.5) poor.push(`${color} strong`);
    }
  }
  expect(poor).toEqual([]);
  expect((await server.open('/portal/assets/accent.zzzzzz.css')).status).toBe(404);
});

/** Contrast ratio as WCAG 2.2 defines it. */
function contrast(one: string, other: string): number {
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5]
      .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [first, second] = [luminance(one), luminance(other)];
  return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
}

describe('in a frame', () => {
  const framed = (origin: string) => ({ origin, 'sec-fetch-dest': 'iframe' });

  it('is shown by pages of the listed origins only', async () => {
    await patch(deployment, { frame_origins: ['https://host.example'] });
    await patch(organization, { frame_origins: ['https://app.acme.example'] });
    const { id: other } = await server.post('/organizations', { name: 'Other' });
    await patch(other, { frame_origins: ['https://app.other.example'] });
    const ancestors = async (path: string, cookie?: string) => {
      const { headers } = await server.open(path, cookie);
      const policy = headers.get('content-security-policy') ?? '';
      return [/frame-ancestors ([^;]*)/.exec(policy)?.[1], headers.get('x-frame-options')];
    };
    const own = ['https://app.acme.example https://host.example', null];
    expect(await ancestors('/portal/', await server.enter(person(), []))).toEqual(own);
    expect(await ancestors(await server.link(person()))).toEqual(own);
    expect(await ancestors('/portal/sign-in')).toEqual(['https://host.example', null]);
    await patch(deployment, { frame_origins: [] });
    expect(await ancestors('/portal/sign-in')).toEqual(["'none'", 'DENY']);
    const console = await server.look('/console/sign-in');
    expect(console.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });

  it('has a cookie for this frame alone, and elsewhere one that no other site can send', async () => {
    const secure = server.portalUrl.replace('http:', 'https:');
    const enter = async (headers: Record<string, string>) => {
      const code = new URL(await server.link(person(), [])).searchParams.get('code') ?? '';
      return portalCookie(await server.submit('/portal/sign-in', { code }, undefined, headers));
    };
    expect(await enter(framed(secure))).toMatch(
      /^__Host-keyturn-portal=s_[\w-]+; Path=\/; HttpOnly; SameSite=None; Partitioned; Secure$/,
    );
    expect(await enter({ origin: secure })).toMatch(
      /^__Host-keyturn-portal=\S+ Path=\/; HttpOnly; SameSite=Strict; Secure$/,
    );
    expect(await enter(framed(server.portalUrl))).toMatch(/^keyturn-portal=\S+ Path=\/; HttpOnly; SameSite=Strict$/);
  });
});
