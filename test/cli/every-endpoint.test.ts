import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { startTestServer } from '../harness.ts';
import { askPostgres, createTestDatabase } from '../services.ts';
import { startReceiver } from '../webhooks/webhook-receiver.ts';
import { type Environment, runCommand } from './run-command.ts';

/**
 * Endpoints covered by another command: `access-keys list --contact` filters the complete list instead, and
 * `access-keys disable --contact` shows its review only if it has to ask. `sessions end` of an own session needs an
 * operator token, because the user of the command line has no sessions, and `approvals approve` one of a contact.
 */
const reachedOtherwise = [
  'GET /contacts/{id}/access-keys',
  'GET /contacts/{id}/access-keys/disable',
  'DELETE /me/sessions/{session_id}',
  'DELETE /me/passkeys/{passkey_id}',
  'POST /approvals/{id}/approve',
];

let environment: Environment;
const called = new Set<string>();

/** Runs a command, which must succeed, and records which endpoints it calls. */
async function run(line: string, input = ''): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await runCommand([...line.split(' '), '--json'], environment, input);
  // A trial says by its exit code that a token is not accepted.
  if (code !== 0 && !(code === 1 && line.startsWith('trusts test')))
    throw new Error(`keyturn ${line}: ${code}: ${stderr}`);
  for (const [, route = ''] of stderr.matchAll(/"route":"([^"]+)"/g)) called.add(route);
  return JSON.parse(stdout) as Record<string, string>;
}

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

/** Records that a program has used every secret, because no server counts uses here. */
async function noteUse(): Promise<void> {
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, expires_at)
     SELECT coalesce(client, access_key), generation, '192.0.2.7', 'sync/1.0', now(), now(), 0, now() + interval '1 day'
     FROM secrets ON CONFLICT DO NOTHING`,
  );
}

/** Runs every command on an object whose credential can be regenerated, in an order that works. */
async function walk(group: 'clients' | 'access-keys', id: string | undefined): Promise<void> {
  for (const verb of ['list', `show ${id}`, `reveal ${id}`, `usage ${id}`, `update ${id} --name New`]) {
    await run(`${group} ${verb}`);
  }
  await run(`${group} networks ${id}`);
  for (const end of ['undo', 'finish']) {
    await run(`${group} regenerate ${id} --yes`);
    if (end === 'undo') {
      await run(`${group} extend ${id} --until ${inDays(7)}`);
      await noteUse();
      for (const verb of ['mark-moved', 'unmark-moved']) {
        await run(`${group} ${verb} ${id} --address 192.0.2.7 --user-agent sync/1.0 --yes`);
      }
    }
    await run(`${group} ${end} ${id} --yes`);
  }
  await run(`${group} regenerations ${id}`);
  await run(`${group} handover ${id} --email ann@example.com --yes`);
  await run(`${group} handover ${id} --show`);
  await run(`${group} handover ${id} --withdraw`);
  await run(`${group} disable ${id} --yes`);
  await run(`${group} enable ${id}`);
}

async function walkClient(): Promise<void> {
  await run('status');
  await run('search Sync');
  await run('expirations');
  await run('posture');
  await run('policies set owner_required --stage report');
  await run('policies list');
  const { client_id: id } = await run('clients create --name Sync');
  await walk('clients', id);
  await run(`clients scope-usage ${id}`);
  for (const option of ['', ' --show', ' --revoke']) await run(`clients authorization-token ${id}${option}`);
  await run(`clients revoke-tokens ${id} --yes`);
  await run(`clients disable ${id} --yes`);
  await run(`clients delete ${id} --yes`);
}

async function walkContact(): Promise<void> {
  const fields = '--name Ann --email ann@example.com --permission all --operator-token';
  const { id: keeper } = await run(`contacts create ${fields}`);
  const { id: key } = await run(`access-keys create --contact ${keeper} --name Warehouse`);
  await walk('access-keys', key);
  await run(`access-keys disable --contact ${keeper} --yes`);
  await run(`access-keys remove ${key} --yes`);
  const { id } = await run('contacts create --name Bo --email bo@example.com');
  const { id: token } = await run(`operator-tokens create --name Pipeline --contact ${keeper} --expires 30d`);
  await run('operator-tokens list');
  await run(`operator-tokens update ${token} --any-network`);
  await run(`operator-tokens networks ${token}`);
  const { id: next } = await run(`operator-tokens rotate ${token} --overlap 0s`);
  await run(`operator-tokens revoke ${next} --yes`);
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO break_glass_uses (token, token_name, contact_name, organization, used_at)
     SELECT '${next}', 'Glass', 'Ann', id, now() FROM organizations LIMIT 1`,
  );
  await run(`operator-tokens acknowledge ${next}`);
  await run(`contacts show ${id}`);
  await run(`contacts update ${id} --name Bob`);
  await run(`contacts operator-token ${id}`);
  await run(`contacts operator-token ${id} --revoke`);
  await run(`contacts delete ${id} --yes`);
  await run(`audit erase ${id} --yes`);
  await run('contacts list');
  const session = crypto.randomUUID();
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO console_sessions (id, name, contact, permissions, created_at, proved_at, expires_at)
     VALUES ('\\x00', '${session}', '${keeper}', '{}', now(), now(), now() + interval '1 hour')`,
  );
  const passkey = crypto.randomUUID();
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO passkeys (id, name_id, contact, name, rp_id, public_key, counter, transports, created_at)
     VALUES ('${passkey}', '${passkey}', '${keeper}', 'Laptop', 'localhost', '', 0, '{}', now())`,
  );
  await run('passkeys list');
  await run(`passkeys list --contact ${keeper}`);
  await run(`passkeys remove ${passkey} --contact ${keeper}`);
  await run(`sessions list --contact ${keeper}`);
  await run(`sessions end ${session} --contact ${keeper}`);
  await run(`sessions end --contact ${keeper} --all`);
  await run('sessions list');
  await run('sessions end --all');
}

async function walkInvitations(): Promise<void> {
  const { id } = await run('invitations create --email cy@example.com --name Cy');
  const { id: next } = await run(`invitations resend ${id}`);
  await run('invitations list');
  await run(`invitations withdraw ${next}`);
}

async function walkApprovals(): Promise<void> {
  await run('approvals settings');
  await run('approvals settings --no-acts');
  const id = crypto.randomUUID();
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO approvals (id, organization, act, route, subject_type, subject, subject_name, permission, body, digest,
       requester, requester_name, state, created_at, ends_at)
     SELECT '${id}', id, 'root_key', 'keyturn root-key rotate', 'root_key', 'v1', 'Root key', 'api_key:manage', '{}', '',
       'cli:${userInfo().username}', 'cli', 'pending', now(), now() + interval '1 hour' FROM organizations LIMIT 1`,
  );
  await run('approvals list');
  await run(`approvals show ${id}`);
  await run(`approvals explain ${id} --reason Yearly`);
  await run(`approvals refuse ${id}`);
}

async function walkOrganization(): Promise<void> {
  const { id } = await run('organizations create --name Acme --max-integrations 5');
  await run('organizations list');
  await run(`organizations show ${id}`);
  await run(`organizations update ${id} --no-max-integrations`);
  await run(`organizations offers ${id}`);
  await run(`portal link --organization ${id} --email ann@acme.example --name Ann`);
  await run(`organizations disable ${id} --yes`);
  await run(`organizations enable ${id}`);
  await run(`organizations delete ${id} --yes`);
}

/** Parks the delivery of a notice, because no server delivers here. */
async function walkNotices(): Promise<void> {
  const { id: contact } = await run('contacts create --name Cy --email cy@example.com --permission audit:view');
  await run(`contacts update ${contact} --permission audit:view,integrations:view`);
  const { data } = (await run('notices list')) as unknown as { data: { id: string; kind: string }[] };
  const notice = data.find(({ kind }) => kind === 'permissions_changed')?.id;
  await askPostgres(
    environment['DATABASE_URL'] ?? '',
    `INSERT INTO notice_deliveries (notice, channel, receiver, organization, thing, state, due_at, settled_at)
     SELECT id, 'mail', '${contact}', organization, thing, 'parked', at, at FROM notices WHERE id = '${notice}'`,
  );
  await run(`notices show ${notice}`);
  await run(`notices retry ${notice}`);
  await run('notices settings --off credential_unused');
  await run('notices settings');
}

async function walkWebhook(): Promise<void> {
  const receiver = await startReceiver();
  const { id } = await run(`webhooks create --name Chat --to ${receiver.url} --kind leak_reported`);
  for (const verb of ['list', `show ${id}`, `update ${id} --no-kind`, `disable ${id}`, `enable ${id}`]) {
    await run(`webhooks ${verb}`);
  }
  for (const end of ['finish', 'undo']) {
    await run(`webhooks rotate ${id} --overlap 1h`);
    await run(`webhooks ${end} ${id} --yes`);
  }
  await run(`webhooks test ${id}`);
  await run(`webhooks deliveries ${id}`);
  await run(`webhooks replay ${id} --since 2020-01-01`);
  await run(`webhooks delete ${id} --yes`);
  await receiver.close();
}

async function walkProvider(): Promise<void> {
  const fields = '--name Login --issuer https://login.example --client-id x';
  const { id } = await run(`identity-providers create ${fields} --grant *=all`);
  await run('identity-providers list');
  await run(`identity-providers show ${id}`);
  await run(`identity-providers update ${id} --disable`);
  await run(`identity-providers delete ${id} --yes`);
}

async function walkTrust(): Promise<void> {
  const { client_id } = await run('clients create --name Pipeline');
  const issuer = '--issuer https://ci.example --preset custom --condition sub=build';
  const { id } = await run(`trusts create --client ${client_id} --name Build ${issuer}`);
  await run('trusts list');
  await run(`trusts show ${id}`);
  await run(`trusts update ${id} --name Build-2`);
  await run('trusts test -', 'no token');
  await run(`trusts delete ${id} --yes`);
}

async function walkMove(): Promise<void> {
  const secret = 'A-secret-of-the-old-server-1';
  const client = {
    client_id: 'moved-app',
    client_secret: secret,
    client_name: 'Moved',
    grant_types: ['client_credentials'],
  };
  await run('clients import -', JSON.stringify([client]));
  await run('moving rehearse -', JSON.stringify({ client_id: 'moved-app', grant_type: 'client_credentials' }));
}

async function walkConfiguration(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-endpoints-'));
  const file = join(folder, 'organization.json');
  writeFileSync(file, JSON.stringify({ kind: 'organization', name: 'Configured' }));
  await run(`apply -f ${file}`);
  await run(`diff -f ${file}`);
  await run(`export -f ${join(folder, 'exported')}`);
  rmSync(folder, { recursive: true });
}

async function walkOthers(): Promise<void> {
  await run('audit list');
  await run('whoami');
  await run('signing-keys list');
  const { data: keys } = (await run('signing-keys rotate')) as unknown as { data: { kid: string }[] };
  // Use a key id that cannot be mistaken for an option.
  await run(`signing-keys revoke ${keys.find(({ kid }) => !kid.startsWith('-'))?.kid} --yes`);
  await run('leaks check -', generateSecret('kts_'));
  await run(`explain ${crypto.randomUUID()}`);
}

test('every endpoint of the admin API is called by a command', async () => {
  const server = await startTestServer();
  const routes = adminEndpoints(server.core).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  await server.close();
  const missing = () => routes.filter((route) => !called.has(route) && !reachedOtherwise.includes(route));
  // The log is written in batches, and a process may lose its last line when it exits. A second run distinguishes that
  // from a missing command.
  for (let walks = 0; walks < 2 && (walks === 0 || missing().length > 0); walks++) {
    environment = {
      DATABASE_URL: await createTestDatabase(),
      KEYTURN_ROOT_KEY: generateRootKey(),
      KEYTURN_LOG_LEVEL: 'debug',
      KEYTURN_PORTAL_URL: 'https://portal.example',
      KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8',
    };
    await Promise.all([
      walkClient(),
      walkContact(),
      walkApprovals(),
      walkInvitations(),
      walkOrganization(),
      walkNotices(),
      walkWebhook(),
      walkProvider(),
      walkTrust(),
      walkMove(),
      walkConfiguration(),
      walkOthers(),
    ]);
  }
  expect(missing()).toEqual([]);
});
