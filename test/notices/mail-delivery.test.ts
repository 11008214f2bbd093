import { createServer } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { SMTPServerOptions } from 'smtp-server';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { makeCertificate } from '../certificates.ts';
import { freePort } from '../free-port.ts';
import { post } from '../oauth/http-client.ts';
import { day, hour, minute } from '../regeneration/world.ts';
import { type MailServer, mailEnvironment, rejection, startMailServer } from './mail-server.ts';

let now: number;
let mail: MailServer;
let server: AdminServer;
let ann: string;

const subjects = () => mail.mails.map(({ subject }) => subject);

/** Starts a server that sends to this port, with a contact Ann, and drops the mails about that. */
async function start(port = mail.port, env: Record<string, string> = {}): Promise<void> {
  server = await startAdminServer({ clock: () => now, env: { ...mailEnvironment(port), ...env } });
  ann = await contact('Ann', 'ann@example.com', { permissions: ['integrations:view'] });
  await turn();
  mail.mails.length = 0;
}

async function contact(name: string, email: string, more: object = {}): Promise<string> {
  return (await server.adminFetch('/contacts', { method: 'POST', body: { name, email, ...more } })).json.id;
}

/** Something that Ann is told, which cannot be switched off. */
const issueToken = (id = ann) => server.adminFetch(`/contacts/${id}/operator-token`, { method: 'POST', body: {} });

/** Registers a client that belongs to a contact, and rotates it, which can be switched off. */
async function rotate(owner = ann, name = 'Shop', more: object = {}): Promise<string> {
  const client = { name, kind: 'integration', ...(owner ? { owner_contact_id: owner } : {}), ...more };
  const { json } = await server.adminFetch('/clients', { method: 'POST', body: client });
  const path = `/clients/${json.client_id}`;
  const review = await server.adminFetch(`${path}/regeneration/review`, { method: 'POST', body: {} });
  const body = { confirmation: review.json.confirmation };
  await server.adminFetch(`${path}/regenerate`, { method: 'POST', body });
  return json.client_id;
}

async function turn(): Promise<void> {
  await server.core.notices.turn();
  now += minute;
  await server.core.notices.turn();
}

async function deliveries(query = ''): Promise<{ state: string; reason: string | null; attempts: number }[]> {
  const { json } = await server.adminFetch(`/notices${query}`);
  return json.data.flatMap(({ deliveries: each }: { deliveries: object[] }) => each);
}
const toAnn = async () => await deliveries(`?subject=${ann}`);

beforeEach(async () => {
  now = Date.now();
  mail = await startMailServer();
});
afterEach(async () => {
  await server.close();
  await mail.close();
});

test('sends a mail in text and HTML to the owner, with the headers of an automatic mail that can be stopped', async () => {
  await start(mail.port, { KEYTURN_MAIL_REPLY_TO: 'Support <help@example.com>' });
  const id = await rotate();
  await turn();
  const [received] = mail.mails;
  expect(mail.mails).toHaveLength(1);
  expect(received?.recipients).toEqual(['ann@example.com']);
  expect(received?.from?.text).toBe('"Keyturn" <keyturn@example.com>');
  expect(received?.replyTo?.text).toBe('"Support" <help@example.com>');
  const header = (name: string) => /(.*)/.exec(String(received?.headers.get(name)))?.[0];
  const notice = (await server.adminFetch('/notices?kind=grace_period_began')).json.data[0];
  expect(received?.messageId).toMatch(new RegExp(`^<${notice.id}\\.[0-9a-f]{16}@example\\.com>$`));
  expect([header('auto-submitted'), header('x-keyturn-notice')]).toEqual(['auto-generated', notice.id]);
  expect(received?.raw).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
  expect(received?.text).toContain(`https://admin.example.com/console/clients/${id}`);
  expect(received?.html).toContain(`href="https://admin.example.com/console/clients/${id}"`);
  // Nothing is loaded from elsewhere.
  expect(received?.html).not.toMatch(/<(img|link|script|iframe)|url\(|src=/);
  expect(await deliveries('?kind=grace_period_began')).toMatchObject([{ state: 'delivered', attempts: 1 }]);
});

test('never puts a secret into a mail', async () => {
  await start();
  const { json } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Shop', kind: 'integration', owner_contact_id: ann },
  });
  await issueToken();
  await server.adminFetch('/leaks', { method: 'POST', body: { values: [json.client_secret], disable: true } });
  await turn();
  expect(subjects()).toEqual(['2 notices from Keyturn: Ann: an operator token was issued']);
  expect(mail.mails[0]?.text).toContain('a credential has leaked');
  expect(mail.mails.map(({ raw, text, html }) => `${raw}${text}${html}`).join()).not.toMatch(
    /kt[skao]_[0-9A-Za-z]{40}/,
  );
});

test('tells once that a credential was found in a text, if it is not revoked', async () => {
  await start();
  const body = { name: 'Shop', kind: 'integration', owner_contact_id: ann };
  const { json } = await server.adminFetch('/clients', { method: 'POST', body });
  for (let searches = 0; searches < 2; searches++) {
    await server.adminFetch('/leaks', { method: 'POST', body: { values: [json.client_secret, 'nothing'] } });
    now += hour;
    await turn();
  }
  expect(subjects()).toEqual(['Shop: a credential has leaked']);
  expect(mail.mails[0]?.text).toContain('It still works.');
});

test('makes one mail of several notices for a person, and one an hour about one thing', async () => {
  await start();
  await rotate(ann, 'Shop');
  await rotate(ann, 'Warehouse');
  await turn();
  expect(subjects()).toEqual([expect.stringMatching(/^2 notices from Keyturn: Shop/)]);
  await issueToken();
  await turn();
  for (let count = 0; count < 3; count++) await issueToken();
  await turn();
  expect(mail.mails).toHaveLength(2);
  now += hour;
  await turn();
  expect(subjects().slice(2)).toEqual(['3 notices from Keyturn: Ann: an operator token was issued']);
});

test('writes to technical contacts too, and to the operators with the permission if nobody else is responsible', async () => {
  await start();
  const contacts = ['tech@partner.example', 'ANN@example.com', 'ask Bo', 'x@y.example\nBcc: z@z.example'.slice(0, 11)];
  await rotate(ann, 'Shop', { contacts });
  await turn();
  expect(mail.mails.map(({ recipients }) => recipients[0]).sort()).toEqual([
    'ann@example.com',
    'tech@partner.example',
    'x@y.example',
  ]);
  mail.mails.length = 0;
  await rotate('', 'Nobody’s');
  await turn();
  // The operator of the test, with all permissions.
  expect(mail.mails.map(({ recipients }) => recipients)).toEqual([['operator@example.com']]);
});

test('writes in the language of the receiver', async () => {
  await start();
  const body = { language: 'de' };
  await server.adminFetch(`/contacts/${ann}`, { method: 'PATCH', body });
  await rotate();
  await turn();
  expect(subjects()).toEqual(['Shop: Zugangsdaten rotiert, die Schonfrist hat begonnen']);
  expect(mail.mails[0]?.html).toContain('<html lang="de">');
  expect(mail.mails[0]?.text).toContain('Keine Mails dieser Art mehr senden');
});

test('cannot be made to add a header or another receiver by a name or an address', async () => {
  await start();
  const { database } = server.core;
  const name = 'Ann, Bo <evil@example.com>\r\nBcc: evil@example.com\r\n\r\n\u202egnp.exe';
  await database.query('UPDATE contacts SET name = $2 WHERE id = $1', [ann, name]);
  await issueToken();
  await turn();
  const [received] = mail.mails;
  expect(mail.mails.map(({ recipients }) => recipients)).toEqual([['ann@example.com']]);
  expect(received?.bcc).toBeUndefined();
  const head = received?.raw.split('\r\n\r\n')[0] ?? '';
  expect(head).not.toMatch(/^bcc:/im);
  const decoded = received?.to && !Array.isArray(received.to) ? received.to.value : [];
  expect(decoded).toEqual([{ address: 'ann@example.com', name: expect.stringMatching(/^Ann, Bo <evil@/) }]);
  expect(`${received?.subject}${received?.text}${received?.html}`).not.toContain('\u202e');

  await database.query('UPDATE contacts SET email = $2 WHERE id = $1', [
    ann,
    'ann@example.com\r\nBcc: evil@example.com',
  ]);
  await rotate();
  await turn();
  expect(mail.mails).toHaveLength(1);
  expect(await deliveries('?kind=grace_period_began')).toMatchObject([
    { state: 'parked', reason: 'the e-mail address is not valid' },
  ]);
});

test('tries again after a temporary refusal, and parks at once what the server refuses for good', async () => {
  await start();
  const bo = await contact('Bo', 'bo@example.com');
  mail.answer = (what, to) => {
    if (what !== 'recipient') return undefined;
    return to.startsWith('ann') ? rejection(450, 'greylisted') : rejection(550, 'no such mailbox');
  };
  await issueToken();
  await issueToken(bo);
  await turn();
  expect(await toAnn()).toMatchObject([
    { state: 'pending', attempts: 1, reason: expect.stringContaining('greylisted') },
  ]);
  const [parked] = await deliveries(`?subject=${bo}`);
  expect(parked).toMatchObject({ state: 'parked', attempts: 1, reason: expect.stringContaining('no such mailbox') });
  mail.answer = () => undefined;
  now += hour;
  await turn();
  expect(mail.mails.map(({ recipients }) => recipients[0])).toEqual(['ann@example.com']);

  // An operator corrects the mailbox and tries again.
  const { json } = await server.adminFetch('/notices?state=parked');
  expect(json.data).toHaveLength(1);
  await server.adminFetch(`/notices/${json.data[0].id}/retry`, { method: 'POST', body: {} });
  await turn();
  expect(mail.mails.map(({ recipients }) => recipients[0])).toEqual(['ann@example.com', 'bo@example.com']);
});

test('delivers everything in one mail when the server comes back after a day of refused connections', async () => {
  const port = await freePort();
  await start(port);
  await rotate(ann, 'Shop');
  for (let passed = 0; passed < 24; passed++) {
    await turn();
    now += hour;
  }
  await rotate(ann, 'Warehouse');
  const [delivery] = await deliveries('?kind=grace_period_began');
  expect(delivery).toMatchObject({ state: 'pending' });
  await mail.close();
  mail = await startMailServer({}, port);
  now += 5 * hour;
  await turn();
  now += 5 * hour;
  await turn();
  const texts = mail.mails.filter(({ recipients }) => recipients.includes('ann@example.com')).map(({ text }) => text);
  for (const name of ['Shop', 'Warehouse']) {
    expect(texts.filter((text) => text?.includes(`${name}: the credential was rotated`))).toHaveLength(1);
  }
  expect(await deliveries('?state=pending')).toEqual([]);
});

test('parks a mail after three days, and shows it among what needs attention', async () => {
  await start(await freePort());
  await issueToken();
  for (let passed = 0; passed < 4 * 24; passed += 4) {
    await turn();
    now += 4 * hour;
  }
  expect(await toAnn()).toMatchObject([{ state: 'parked', reason: expect.stringContaining('ECONNREFUSED') }]);
  expect(now).toBeGreaterThan(Date.now() + 3 * day);
  const { json } = await server.adminFetch('/attention');
  const items = json.data.filter(
    ({ kind, name }: Record<string, string>) => kind === 'notice_parked' && name === 'Ann',
  );
  expect(items).toMatchObject([
    { urgency: 'soon', message: expect.stringMatching(/^The notice could not be delivered to Ann.*ECONNREFUSED/) },
  ]);
});

test('signs in over STARTTLS with a certificate that it verifies, and sends no password without it', async () => {
  const authority = makeCertificate({ subject: 'Mail CA', isCa: true });
  const { cert, key } = makeCertificate({ issuer: authority, dns: ['localhost'] });
  const logins: string[] = [];
  const options: SMTPServerOptions = {
    cert,
    key,
    disabledCommands: [],
    onAuth: ({ username, password }, { secure }, done) => {
      logins.push(`${secure} ${username} ${password}`);
      done(password === 'p@ss' ? null : rejection(535, 'wrong password'), { user: 'keyturn' });
    },
  };
  const secured = await startMailServer(options);
  const url = (password: string) => `smtp://keyturn:${password}@localhost:${secured.port}`;
  await start(secured.port, { KEYTURN_SMTP_URL: url('p%40ss') });
  await issueToken();
  await turn();
  expect([logins, await toAnn()]).toMatchObject([
    [],
    [{ state: 'pending', reason: expect.stringContaining('certificate') }],
  ]);
  setDefaultCACertificates([...getCACertificates('default'), authority.cert]);
  now += hour;
  await turn();
  expect(secured.mails.map(({ recipients }) => recipients[0])).toContain('ann@example.com');
  expect(new Set(logins)).toEqual(new Set(['true keyturn p@ss']));
  await server.close();

  // A wrong password concerns every mail, so it is not the fault of one address.
  await start(secured.port, { KEYTURN_SMTP_URL: url('wrong') });
  await issueToken();
  await turn();
  expect(await toAnn()).toMatchObject([{ state: 'pending', reason: expect.stringContaining('wrong password') }]);
  await server.close();

  // A server without STARTTLS gets no password.
  await start(mail.port, { KEYTURN_SMTP_URL: `smtp://keyturn:secret@127.0.0.1:${mail.port}` });
  await issueToken();
  await turn();
  expect(mail.mails).toEqual([]);
  await secured.close();
});

test('gives a server up that does not greet, and tries again later', async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  await start((silent.address() as { port: number }).port);
  await issueToken();
  await turn();
  expect(await toAnn()).toMatchObject([{ state: 'pending', reason: expect.stringMatching(/greeting|timeout/i) }]);
  silent.close();
});

describe('the link that stops mails', () => {
  const linkIn = () => String(/<(http[^>]*\/notices\/unsubscribe[^>]*)>/.exec(unfolded())?.[1]);
  const unfolded = () => (mail.mails.at(-1)?.raw ?? '').replace(/\r\n[ \t]+/g, ' ');
  const here = (link: string) => link.replace('http://localhost:4000', server.publicUrl);

  test('works without sign-in and with one request, and only then', async () => {
    await start();
    await rotate();
    await turn();
    const link = here(linkIn());
    const asked = await fetch(link);
    expect([asked.status, asked.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await asked.text()).toContain('A credential was rotated, and its grace period began');
    await rotate(ann, 'Second');
    await turn();
    expect(mail.mails).toHaveLength(2);
    const { status } = await post(link, { 'List-Unsubscribe': 'One-Click' });
    expect(status).toBe(200);
    await rotate(ann, 'Third');
    await turn();
    expect(mail.mails).toHaveLength(2);
    const { json } = await server.adminFetch('/notices?kind=grace_period_began');
    expect(json.data[0].deliveries).toMatchObject([{ state: 'skipped', reason: expect.stringContaining('switched') }]);
    // The other kinds still come.
    await issueToken();
    await turn();
    expect(subjects().at(-1)).toBe('Ann: an operator token was issued');
    const { json: log } = await server.adminFetch('/audit-events?action=notices.switch');
    expect(log.data).toMatchObject([
      { actor_name: 'Link in a mail', target: ann, after: { grace_period_began: false } },
    ]);
  });

  test('is missing from a mail about what cannot be switched off', async () => {
    await start();
    await issueToken();
    await turn();
    expect(unfolded()).not.toMatch(/List-Unsubscribe/);
    expect(mail.mails[0]?.text?.replace(/\s+/g, ' ')).toContain('cannot be switched off');
  });

  test('is rejected if it was changed', async () => {
    await start();
    await rotate();
    await turn();
    const link = here(linkIn());
    for (const wrong of [
      link.replace(/.$/, (end) => (end === 'A' ? 'B' : 'A')),
      link.replace(/token=.*/, 'token=x'),
      link.replace(/\?.*/, ''),
    ]) {
      expect([wrong, (await fetch(wrong)).status, (await post(wrong, {})).status]).toEqual([wrong, 404, 404]);
    }
    expect((await fetch(link, { method: 'DELETE' })).status).toBe(405);
  });
});
