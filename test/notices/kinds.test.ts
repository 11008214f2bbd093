import { makeCertificate } from '../certificates.ts';
import { createWorld, day, hour, minute, type World } from '../regeneration/world.ts';
import { type MailServer, mailEnvironment, startMailServer } from './mail-server.ts';

/** What people hear of each kind that is not about a rotation: over HTTP and SMTP, with a clock that the test moves. */
describe('mails about single credentials and the deployment', () => {
  let mail: MailServer;
  let world: World;
  let ann: string;
  let began: number;

  const at = (ms: number) => new Date(world.now() + ms).toISOString();
  const post = async (path: string, body: object = {}) => {
    const { status, json, text } = await world.adminFetch(path, { method: 'POST', body });
    if (status > 299) throw new Error(`POST ${path}: ${text}`);
    return json;
  };
  const client = async (name: string, more: object = {}) =>
    await post('/clients', { name, kind: 'integration', owner_contact_id: ann, ...more });

  beforeAll(async () => {
    mail = await startMailServer();
    world = await createWorld({ env: mailEnvironment(mail.port) });
    began = world.now();
    ann = (await post('/contacts', { name: 'Ann', email: 'ann@example.com' })).id;
  });
  afterAll(async () => {
    await world.close();
    await mail.close();
  });
  beforeEach(async () => {
    await settle();
    mail.mails.length = 0;
  });

  async function settle(): Promise<void> {
    await world.core.usage.flush();
    await world.core.notices.turn();
    world.pass(minute);
    await world.core.notices.turn();
  }

  /** Passes days, and returns the notices that each mail to the address names, after the number of days. */
  async function toldIn(days: number, about: string, address = 'ann@example.com'): Promise<string[]> {
    const told: string[] = [];
    for (let passed = 0; passed <= days; passed++, world.pass(day - minute)) {
      await settle();
      for (const { recipients, text } of mail.mails.splice(0)) {
        const titles = (text ?? '')
          .replace(/\n(?=\S)/g, ' ')
          .split('\n')
          .map((line) => line.trim());
        const found = titles.filter((line) => recipients.includes(address) && line.startsWith(about));
        told.push(...found.map((line) => `${passed} ${line}`));
      }
    }
    return told;
  }

  it('come 30, 14, 7, 3 and 1 days before an access key or a certificate expires, and when it has expired', async () => {
    await post(`/contacts/${ann}/access-keys`, { name: 'Depot', permissions: {}, expires_at: at(40 * day - hour) });
    const { x509 } = makeCertificate({ subject: 'edge', notAfter: new Date(world.now() + 40 * day - hour) });
    const key = { ...x509.publicKey.export({ format: 'jwk' }), x5c: [x509.raw.toString('base64')] };
    await client('Edge', { auth_method: 'self_signed_tls_client_auth', jwks: { keys: [key] } });
    const told = await toldIn(45, '');
    const of = (start: string) => told.filter((line) => line.replace(/^\d+ /, '').startsWith(start));
    const words = ['10 30 days', '26 14 days', '33 7 days', '37 3 days', '39 1 day'];
    for (const [thing, noun] of [
      ['Depot (Ann)', 'access key'],
      ['Edge', 'certificate'],
    ]) {
      expect(of(`${thing}: the ${noun}`)).toEqual([
        ...words.map((each) => each.replace(' ', ` ${thing}: the ${noun} expires in `)),
        `40 ${thing}: the ${noun} has expired`,
      ]);
    }
  });

  it('come once about an integration that is not used for 90 days', async () => {
    const used = await client('Till');
    await world.token({ id: used.client_id, secret: used.client_secret });
    expect(await toldIn(100, 'Till')).toEqual([expect.stringMatching(/^9[01] Till: not used for 90 days$/)]);
  });

  it('name a network from which a credential is used for the first time, apart from its first use of all', async () => {
    const { client_id: id, client_secret: secret } = await client('Kiosk');
    const use = async (from: string) => {
      await world.token({ id, secret }, { from });
      await settle();
      world.pass(hour);
      return mail.mails.splice(0).map(({ subject }) => subject);
    };
    expect([await use('127.0.3.1'), await use('127.0.3.200'), await use('127.0.4.1'), await use('127.0.4.9')]).toEqual([
      [],
      [],
      ['Kiosk: first use from the network 127.0.4.0/24'],
      [],
    ]);
  });

  it('go to the operators when the signing key is rotated', async () => {
    await post('/signing-keys/rotate');
    await settle();
    const [received] = mail.mails;
    expect([received?.recipients, received?.subject]).toEqual([
      ['operator@example.com'],
      'The signing key was rotated',
    ]);
    expect(received?.text).toContain('https://admin.example.com/console/signing-keys');
  });

  it('go to the operators once when the root key is older than a year', async () => {
    world.pass(began + 363 * day - world.now());
    const told = await toldIn(6, 'The root key', 'operator@example.com');
    expect(told).toEqual(['3 The root key is 366 days old']);
  });

  describe('of a kind that is switched', () => {
    const patch = (body: object) => world.adminFetch('/notices/settings', { method: 'PATCH', body });

    it('off are sent all the same if it is mandatory', async () => {
      for (const kind of ['leak_reported', 'permissions_changed', 'operator_token_issued', 'handover_code_sent']) {
        for (const scope of [{}, { contact_id: ann }]) {
          expect((await patch({ ...scope, kinds: { [kind]: false } })).status).toBe(400);
        }
      }
      // Not even by a setting that is stored all the same.
      await world.core.database.query(
        `INSERT INTO notice_switches (organization, receiver, kind, enabled)
         SELECT o.organization, r.receiver, 'operator_token_issued', false FROM contacts o, (VALUES (''), ($1)) AS r (receiver)
         WHERE o.id::text = $1`,
        [ann],
      );
      await post(`/contacts/${ann}/operator-token`);
      await settle();
      expect(mail.mails.map(({ subject }) => subject)).toEqual(['Ann: an operator token was issued']);
    });

    it('follow the person, then the organization, then the deployment', async () => {
      const { id: organization } = await post('/organizations', { name: 'Acme' });
      const of = { organization_id: organization };
      const { id: bo } = await post('/contacts', { name: 'Bo', email: 'bo@acme.example', ...of });
      const scopes = [{}, of, { contact_id: bo }];
      const tell = async ([deployment, ofOrganization, person]: (boolean | null)[]) => {
        for (const [index, on] of [deployment, ofOrganization, person].entries()) {
          const { status } = await patch({ ...scopes[index], kinds: { grace_period_began: on } });
          expect(status).toBe(200);
        }
        const made = await client('Sync', { owner_contact_id: bo, ...of });
        const { confirmation } = await post(`/clients/${made.client_id}/regeneration/review`);
        await post(`/clients/${made.client_id}/regenerate`, { confirmation });
        await settle();
        const isTold = mail.mails.some(({ recipients }) => recipients.includes('bo@acme.example'));
        mail.mails.length = 0;
        return isTold;
      };
      const cases: [(boolean | null)[], boolean][] = [
        [[null, null, null], true],
        [[false, null, null], false],
        [[false, true, null], true],
        [[true, false, null], false],
        [[true, false, true], true],
        [[false, null, true], true],
        [[true, true, false], false],
      ];
      for (const [settings, expected] of cases) expect([settings, await tell(settings)]).toEqual([settings, expected]);
      for (const scope of scopes) await patch({ ...scope, kinds: { grace_period_began: null } });
    });
  });
});
