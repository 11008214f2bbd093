import { freePort } from '../free-port.ts';
import { type MailServer, mailEnvironment, startMailServer } from '../notices/mail-server.ts';
import { createWorld, minute, type World } from '../regeneration/world.ts';

/** A link whose receiver has no account and proves the e-mail address: over HTTP and SMTP, with a movable clock. */
describe('the code of a hand-over by e-mail', () => {
  let mail: MailServer;
  let world: World;
  /** Path of an integration of its own, and the link of its hand-over. */
  let client: string;
  let link: URL;

  beforeAll(async () => {
    mail = await startMailServer();
    const portal = { KEYTURN_PORTAL_PORT: String(await freePort()), KEYTURN_TRUST_PROXY: '127.0.0.1/32' };
    world = await createWorld({ env: { ...mailEnvironment(mail.port), ...portal } });
  });
  afterAll(async () => {
    await world.close();
    await mail.close();
  });
  beforeEach(async () => {
    const { json } = await world.adminFetch('/clients', {
      method: 'POST',
      body: { name: 'Sync', kind: 'integration' },
    });
    client = `/clients/${json.client_id}`;
    const review = await world.adminFetch(`${client}/regeneration/review`, { method: 'POST', body: {} });
    const body = { confirmation: review.json.confirmation, email: 'ann@example.com', overlap_seconds: 7_200 };
    const created = await world.adminFetch(`${client}/handover`, { method: 'POST', body });
    expect([created.status, created.json.code]).toEqual([201, null]);
    link = new URL(new URL(created.json.url).pathname, world.portalUrl);
    await world.core.notices.turn();
    mail.mails.length = 0;
  });

  async function send(fields: Record<string, string>, headers: Record<string, string> = {}) {
    const response = await fetch(link, {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: { Origin: link.origin, 'User-Agent': 'browser', 'X-Forwarded-For': '192.0.2.9', ...headers },
    });
    const text = await response.text();
    return { status: response.status, secret: /kts_\w{49}/.exec(text)?.[0], text };
  }
  /** The mails to the receiver. Those to operators about rotations are another matter. */
  const toAnn = () => mail.mails.filter(({ recipients }) => recipients.includes('ann@example.com'));
  const open = (code: string) => send({ code });
  const show = async () => (await world.adminFetch(`${client}/handover`)).json;

  /** Requests a code, and returns it as the mail server has received it. */
  async function requestCode(headers: Record<string, string> = {}): Promise<string> {
    const before = toAnn().length;
    const { text } = await send({ act: 'send' }, headers);
    expect(text).toContain('ann@example.com');
    await world.core.notices.turn();
    expect(toAnn().slice(before)).toHaveLength(1);
    return /^(\d{4} \d{4})$/m.exec(toAnn().at(-1)?.text ?? '')?.[1] ?? '';
  }

  it('opens the link without an account, and shows when and from where that was', async () => {
    expect(await (await fetch(link)).text()).toContain('Send code');
    expect(toAnn()).toEqual([]);
    expect(await open('')).toMatchObject({ status: 400, secret: undefined });
    expect(await open('12345678')).toMatchObject({ status: 400, secret: undefined });
    const code = await requestCode();
    expect(toAnn()[0]?.html).toContain(code);
    const { secret } = await open(code);
    expect(await world.works({ id: client.split('/')[2] ?? '', secret: secret ?? '' })).toBe(true);
    expect(await show()).toMatchObject({
      state: 'opened',
      wrong_codes: 0,
      ended_at: new Date(world.now()).toISOString(),
      ended_by: 'ann@example.com',
      opened: { address: '192.0.2.9', user_agent: 'browser' },
    });
    // The grace period begins with the opening.
    const { json: rotations } = await world.adminFetch(`${client}/regenerations`);
    expect(Date.parse(rotations.data[0].previous.retires_at) - world.now()).toBe(120 * minute);
    expect((await open(code)).status).toBe(410);
  });

  it('is in the language of the page, and in no other mail, event or table', async () => {
    const code = await requestCode({ 'Accept-Language': 'de' });
    expect(toAnn()[0]?.subject).toBe('Code für das neue Secret von Sync');
    world.pass(minute);
    await world.core.notices.turn();
    const withCode = mail.mails.filter(({ text }) => text?.replaceAll(' ', '').includes(code.replace(' ', '')));
    expect(withCode).toEqual(toAnn());
    const { database } = world.core;
    const tables = await database.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
    );
    for (const { name } of tables) {
      const found = await database.query(`SELECT 1 FROM ${name} t WHERE t::text LIKE ANY ($1::text[]) LIMIT 1`, [
        [`%"${code}"%`, `%${code.replace(' ', '')}%`, `%${code}%`],
      ]);
      expect([name, found]).toEqual([name, []]);
    }
  });

  it('expires after ten minutes, and ends with the next one', async () => {
    const first = await requestCode();
    world.pass(10 * minute);
    expect(await open(first)).toMatchObject({ status: 400, secret: undefined });
    const second = await requestCode();
    world.pass(minute);
    const third = await requestCode();
    // The expired code has cost no attempt; the replaced one is a wrong code.
    expect((await show()).wrong_codes).toBe(0);
    if (second !== third) expect((await open(second)).secret).toBeUndefined();
    world.pass(9 * minute);
    expect((await open(third)).secret).toMatch(/^kts_/);
  });

  it('is sent once a minute, also for many requests at the same time, and ten times in all', async () => {
    await Promise.all(Array.from({ length: 8 }, () => send({ act: 'send' })));
    await world.core.notices.turn();
    expect(toAnn()).toHaveLength(1);
    world.pass(minute - 1);
    expect(await send({ act: 'send' })).toMatchObject({ status: 400, text: expect.stringContaining('a minute ago') });
    world.pass(1);
    for (let sent = 1; sent < 10; sent++, world.pass(minute)) await requestCode();
    expect((await send({ act: 'send' })).text).toContain('Too many codes');
    await world.core.notices.turn();
    expect(toAnn()).toHaveLength(10);
  });

  it('ends the link with the fifth wrong one, however many codes were sent', async () => {
    for (let wrong = 0; wrong < 4; wrong++, world.pass(minute)) {
      const code = await requestCode();
      expect((await open(code.replace(/\d/g, (digit) => String((Number(digit) + 1) % 10)))).status).toBe(400);
    }
    const code = await requestCode();
    expect((await open(code.replace(/\d/g, (digit) => String((Number(digit) + 1) % 10)))).status).toBe(410);
    expect((await show()).state).toBe('too_many_codes');
    expect((await open(code)).secret).toBeUndefined();
    expect((await send({ act: 'send' })).text).toContain('too many wrong codes');
  });

  it('is not sent late: the mail of an expired or withdrawn link is skipped', async () => {
    mail.answer = () => Object.assign(new Error('try again'), { responseCode: 450 });
    await send({ act: 'send' });
    await world.core.notices.turn();
    mail.answer = () => undefined;
    world.pass(10 * minute);
    await world.core.notices.turn();
    const { json } = await world.adminFetch(`/notices?kind=handover_code_sent&subject=${client.split('/')[2]}`);
    expect(json.data.map(({ deliveries }: { deliveries: unknown }) => deliveries)).toMatchObject([
      [{ channel: 'code', receiver_name: 'ann@example.com', state: 'skipped' }],
    ]);
    expect(toAnn()).toEqual([]);
    expect((await send({ act: 'send' }, { Origin: 'https://other.example' })).status).toBe(403);
    await world.adminFetch(`${client}/handover`, { method: 'DELETE' });
    expect((await send({ act: 'send' })).status).toBe(410);
  });
});
