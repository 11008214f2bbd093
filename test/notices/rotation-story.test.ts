import { createWorld, hour, minute, type World } from '../regeneration/world.ts';
import { startReceiver } from '../webhooks/webhook-receiver.ts';
import { type MailServer, mailEnvironment, startMailServer } from './mail-server.ts';

/**
 * A rotation from its first mail to its last, as the owner of an integration and the receiver of a webhook hear of it: over
 * HTTP and SMTP only, with real stores and a clock that the test moves.
 */
describe('the story of a rotation', () => {
  let mail: MailServer;
  let world: World;
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
  const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };
  const reports = { from: '127.0.0.13', userAgent: 'shop-reports/2.0' };
  const machines = [web, nightly, reports];

  beforeAll(async () => {
    mail = await startMailServer();
    receiver = await startReceiver();
    world = await createWorld({ env: { ...mailEnvironment(mail.port), KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' } });
    const owner = await post('/contacts', { name: 'Olga Owner', email: 'olga@example.com' });
    await world.adminFetch(`/clients/${world.shop.id}`, { method: 'PATCH', body: { owner_contact_id: owner.id } });
    // Notices about this preparation are another matter.
    await settle();
    await post('/webhooks', { name: 'Chat', url: receiver.url });
    mail.mails.length = 0;
  });
  afterAll(async () => {
    await world.close();
    await receiver.close();
    await mail.close();
  });

  const post = async (path: string, body: object = {}) => (await world.adminFetch(path, { method: 'POST', body })).json;

  /** Everything that is due now has been delivered or tried afterwards. */
  async function settle(): Promise<void> {
    await world.core.usage.flush();
    await world.core.notices.turn();
    world.pass(minute);
    await world.core.notices.turn();
  }

  /** Rotates the secret of another integration and undoes that, which are two events about another thing. */
  async function rotateAndUndo(path: string): Promise<void> {
    const { confirmation } = await post(`${path}/regeneration/review`);
    const { regeneration_id: id } = await post(`${path}/regenerate`, { confirmation });
    await post(`${path}/regenerations/${id}/undo`);
  }

  const toOlga = () => mail.mails.filter(({ recipients }) => recipients.includes('olga@example.com'));
  const textOf = (index: number) => (toOlga()[index]?.text ?? '').replace(/\s+/g, ' ');

  it('reaches people and programs once and in order, with the machines that have not moved, until its last mail', async () => {
    const { shop } = world;
    const kiosk = await post('/clients', { name: 'Kiosk', kind: 'integration' });
    for (const machine of machines) await world.token(shop, machine);
    const { credentials } = await world.regenerate({ overlap_seconds: 10 * 86_400, finish_when_unused: true });
    await settle();
    expect(textOf(0)).toContain('0 of 3 sources have moved to the new credential; 3 have not.');

    const tried: string[] = [];
    let isFailing = false;
    receiver.state.onRequest = ({ id, type }) => {
      tried.push(id);
      // It would accept a later event about the same thing, which must not overtake an earlier one.
      receiver.state.status = isFailing && !type.endsWith('undone') ? 503 : 204;
    };
    const hours: number[] = [0];
    const began = world.now();
    for (let at = 1; at <= 12 * 24; at++) {
      world.pass(hour - minute);
      // The web shop moves at once, the reports on the sixth day; the nightly job uses the previous secret until the tenth.
      if (at < 240) {
        await world.token(credentials, web);
        await world.token(at < 140 ? shop : credentials, reports);
        await world.token(at < 224 ? shop : credentials, nightly);
      }
      // The receiver fails for a day, from before the grace period is half over.
      isFailing = at > 115 && at <= 139;
      if (at === 118 || at === 130) await rotateAndUndo(`/clients/${kiosk.client_id}`);
      await world.lookAfterOverlaps();
      await settle();
      while (hours.length < toOlga().length) hours.push(Math.floor((world.now() - began) / hour));
    }

    // The mails come at their moments, also while the receiver of the webhook fails.
    expect(toOlga().map(({ subject }, index) => [hours[index], subject])).toEqual([
      [0, 'Shop: the credential was rotated, and the grace period began'],
      [72, 'Shop: the grace period ends in 7 days'],
      [120, 'Shop: the grace period is half over'],
      [168, 'Shop: the grace period ends in 3 days'],
      [216, 'Shop: the grace period ends in 1 day'],
      [expect.any(Number), 'Shop: the grace period ended'],
    ]);
    const named = toOlga().map((_, index) => machines.filter(({ from }) => textOf(index).includes(from)));
    expect(named).toEqual([machines, [nightly, reports], [nightly, reports], [nightly], [nightly], []]);
    // Finished by evidence, more than an hour before its end.
    expect(hours.at(-1)).toBeLessThan(239);
    expect(textOf(5)).toContain('All 3 sources have moved to the new credential.');
    expect(await world.progress()).toMatchObject({ state: 'finished' });

    // The webhook has everything once, in order for each thing, although it has failed.
    const ids = receiver.received.map(({ id }) => id);
    expect([new Set(ids).size, new Set(tried).size]).toEqual([ids.length, ids.length - 1]);
    expect(tried.length).toBeGreaterThan(ids.length);
    const eventsOf = (id: string) =>
      receiver.received
        .filter(({ subject }) => subject === `clients/${id}`)
        .map(({ type, event: { data } }) => [type.replace('dev.keyturn.', ''), data.reminder, data.source_count]);
    expect(eventsOf(shop.id)).toEqual([
      ['grace_period_began', undefined, 3],
      ['grace_period_reminder', '7_days', 2],
      ['grace_period_reminder', 'halfway', 2],
      ['grace_period_reminder', '3_days', 1],
      ['grace_period_reminder', '1_day', 1],
      ['grace_period_ended', undefined, 0],
    ]);
    expect(eventsOf(kiosk.client_id).map(([type]) => type)).toEqual([
      'grace_period_began',
      'grace_period_undone',
      'grace_period_began',
      'grace_period_undone',
    ]);
  });
});
