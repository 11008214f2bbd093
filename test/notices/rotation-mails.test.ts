import { createWorld, day, hour, minute, type World } from '../regeneration/world.ts';
import { type MailServer, mailEnvironment, startMailServer } from './mail-server.ts';

/** Parts of a rotation as the owner of an integration hears of them. `rotation-story.test.ts` has a whole one. */
describe('mails about a rotation', () => {
  let mail: MailServer;
  let world: World;
  const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
  const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };

  beforeEach(async () => {
    mail = await startMailServer();
    world = await createWorld({ env: mailEnvironment(mail.port) });
    const body = { name: 'Olga Owner', email: 'olga@example.com' };
    const { json: owner } = await world.adminFetch('/contacts', { method: 'POST', body });
    await world.adminFetch(`/clients/${world.shop.id}`, { method: 'PATCH', body: { owner_contact_id: owner.id } });
    // Mails about the operators of the test are another matter.
    await settle();
    mail.mails.length = 0;
  });
  afterEach(async () => {
    await world.close();
    await mail.close();
  });

  /** Everything that is due now has been delivered afterwards. */
  async function settle(): Promise<void> {
    await world.core.usage.flush();
    await world.core.notices.turn();
    world.pass(minute);
    await world.core.notices.turn();
  }

  /** Passes time in steps in which a server would act, and returns the mails to the owner, with the hour of each. */
  async function mailsDuring(ms: number, eachHour: () => Promise<unknown> = async () => undefined) {
    const from = world.now();
    const seen = mail.mails.length;
    const heard: { hour: number; subject: string; text: string }[] = [];
    while (world.now() < from + ms) {
      world.pass(hour - minute);
      await eachHour();
      await settle();
      for (const { subject, text, recipients } of mail.mails.slice(seen + heard.length)) {
        expect(recipients).toEqual(['olga@example.com']);
        heard.push({
          hour: Math.floor((world.now() - from) / hour),
          subject: subject ?? '',
          text: (text ?? '').replace(/\s+/g, ' '),
        });
      }
    }
    return heard;
  }

  it('tell the end by its date, the first request that is rejected then, and the sum of each day', async () => {
    const { shop } = world;
    await world.token(shop, nightly);
    await world.regenerate({ overlap_seconds: 86_400 });
    const heard = await mailsDuring(3 * day, () => world.askToken(shop, nightly));
    const subjects = heard.map(({ subject }) => subject);
    expect(subjects.slice(0, 5)).toEqual([
      'Shop: the credential was rotated, and the grace period began',
      'Shop: the grace period is half over',
      'Shop: the grace period ends in 1 hour',
      '2 notices from Keyturn: Shop: the grace period ended',
      'Shop: an ended credential is still used',
    ]);
    const first = heard.find(
      ({ text }) => text.includes('of 1 source was rejected') || text.includes('of 1 source were'),
    );
    expect(first?.text).toContain('127.0.0.12');
    expect(heard.filter(({ text }) => text.includes('24 requests on'))).toHaveLength(1);
  });

  it('are not sent for reminders that were missed, except the latest, when no process ran', async () => {
    await world.token(world.shop, web);
    await world.regenerate({ overlap_seconds: 10 * 86_400 });
    await settle();
    mail.mails.length = 0;
    world.pass(9 * day);
    await settle();
    expect(mail.mails.map(({ subject }) => subject)).toEqual(['Shop: the grace period ends in 1 day']);
    await settle();
    expect(mail.mails).toHaveLength(1);
  });

  it('say that a rotation was undone, and nothing of it afterwards', async () => {
    await world.token(world.shop, web);
    const { json } = await world.regenerate({ overlap_seconds: 86_400 });
    await world.post(`/regenerations/${json.regeneration_id}/undo`);
    const heard = await mailsDuring(2 * day);
    expect(heard.map(({ subject }) => subject)).toEqual([expect.stringMatching(/2 notices.*grace period began/)]);
    expect(heard[0]?.text).toContain('undid the rotation');
  });

  it('are sent again for a grace period that was extended, but not for moments that were over', async () => {
    await world.token(world.shop, web);
    const { json } = await world.regenerate({ overlap_seconds: 86_400 });
    await mailsDuring(20 * hour);
    mail.mails.length = 0;
    const until = new Date(world.now() + 2 * day).toISOString();
    await world.post(`/regenerations/${json.regeneration_id}/extend`, { retires_at: until });
    await settle();
    expect(mail.mails).toEqual([]);
    const heard = await mailsDuring(47 * hour + 30 * minute);
    expect(heard.map(({ hour: at, subject }) => [at, subject])).toEqual([
      [24, 'Shop: the grace period ends in 1 day'],
      [47, 'Shop: the grace period ends in 1 hour'],
    ]);
  });

  it('tell the end of a grace period that another rotation ends, once', async () => {
    await world.token(world.shop, web);
    const { json: first } = await world.regenerate({ overlap_seconds: 10 * 86_400 });
    await settle();
    world.pass(hour);
    mail.mails.length = 0;
    const { json: second } = await world.regenerate({ overlap_seconds: 86_400 });
    await settle();
    expect(mail.mails.map(({ subject }) => subject)).toEqual(['2 notices from Keyturn: Shop: the grace period ended']);
    expect(mail.mails[0]?.text).toContain('the grace period began');
    for (let days = 0; days < 12; days++, world.pass(day)) await settle();
    const { json } = await world.adminFetch('/notices?kind=grace_period_ended');
    const ended = json.data.map((each: { data: { regeneration_id: string } }) => each.data.regeneration_id);
    expect(ended).toEqual([second.regeneration_id, first.regeneration_id]);
  });

  it('tell the end of a secret that was imported with an end: 30, 14, 7, 3 and 1 days before it, and then', async () => {
    const secret = (letter: string) => `${letter}4Qn8Zr2Lw6Ty0Kb5Vd9Xe3Ph7Jm1Cs-${letter}`;
    const ends = new Date(world.now() + 45 * day - 10 * minute).toISOString();
    const imported = {
      client_id: 'legacy-shop',
      name: 'Legacy',
      client_secret: secret('a'),
      previous_secret: { client_secret: secret('b'), ends_at: ends },
    };
    const body = { clients: [imported] };
    const { status, text } = await world.adminFetch('/clients/import', { method: 'POST', body });
    expect([status, text]).toEqual([200, expect.stringContaining('legacy-shop')]);
    expect(await world.works({ id: 'legacy-shop', secret: secret('b') })).toBe(true);
    const told: string[] = [];
    for (let days = 0; days <= 46; days++, world.pass(day - minute)) {
      await settle();
      told.push(...mail.mails.splice(0).map(({ subject }) => `${days}: ${subject}`));
    }
    expect(told.filter((each) => each.includes('Legacy'))).toEqual([
      '15: Legacy: the grace period ends in 30 days',
      '23: Legacy: the grace period is half over',
      '31: Legacy: the grace period ends in 14 days',
      '38: Legacy: the grace period ends in 7 days',
      '42: Legacy: the grace period ends in 3 days',
      '44: Legacy: the grace period ends in 1 day',
      '45: Legacy: the grace period ended',
    ]);
    expect(await world.works({ id: 'legacy-shop', secret: secret('b') })).toBe(false);
  });
});
