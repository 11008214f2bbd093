import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { permissions } from '../contacts/contact.ts';
import type { Core } from '../core.ts';
import { UsageError } from '../errors.ts';
import { type Answer, type Call, send, toCurl } from './curl.ts';
import { commandActor, readCommandConfig } from './stores.ts';
import { CommandEnd, type OutputOptions, paint, print, say, sheet, toJson } from './terminal.ts';

type Options = OutputOptions & { once?: true };

const resource = 'https://api.example.com';
const information = ['orders', 'products', 'contacts'];
const serverName = 'Example API';
const integrationName = 'Example integration';
const operator = { name: 'Quickstart operator', email: 'operator@example.com', externalId: 'keyturn-quickstart' };

export function addQuickstartCommand(program: Command): void {
  program
    .command('quickstart')
    .description(
      'start a server, register an integration, get a token and introspect it; prints each step as a curl command',
    )
    .option('--once', 'exit after the last step; otherwise the server keeps running')
    .option('--json', 'print one JSON object after the last step')
    .addHelpText(
      'after',
      `
Examples:
  keyturn quickstart
  keyturn quickstart --once
  KEYTURN_PORT=4100 KEYTURN_ADMIN_PORT=4101 keyturn quickstart   # if port 4000 is in use

Without DATABASE_URL, all data is stored in KEYTURN_DATA_DIR (./data) and reused by the next run.`,
    )
    .action(quickstart);
}

async function quickstart(options: Options): Promise<void> {
  const config = forThisMachine(readCommandConfig());
  const [{ openCore }, { startServer }, { createLog }] = await Promise.all([
    import('../core.ts'),
    import('../server.ts'),
    import('../observability/log.ts'),
  ]);
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel, process.stderr.fd);
  const core = await openCore(config, log);
  try {
    const server = await startServer(core).catch(suggestPorts);
    try {
      const ended = endOfProcess();
      await walk(core, { publicUrl: withLocalhost(server.publicUrl), adminUrl: server.adminUrl }, options);
      if (options.once) return;
      say(paint('dim', 'The server keeps running. Press Ctrl-C to stop it.', process.stderr));
      await ended;
    } finally {
      await server.close();
    }
  } finally {
    await core.close();
  }
}

/**
 * Returns the configuration without TLS, because the quickstart calls the server as localhost, which no certificate
 * names.
 */
function forThisMachine(config: Config): Config {
  const issuer = config.issuer.replace(/^https:(?=\/\/localhost(:|$))/, 'http:');
  const tlsFiles = { cert: undefined, key: undefined, clientCa: undefined };
  return { ...config, issuer, tlsFiles, allowedHosts: [...config.allowedHosts, 'localhost'] };
}

function withLocalhost(url: string): string {
  return url.replace('//127.0.0.1:', '//localhost:');
}

/** Adds how to choose other ports, because a port in use is the most common failure of a first start. */
function suggestPorts(error: unknown): never {
  if (!(error instanceof UsageError)) throw error;
  throw new UsageError(`${error.message} For example: KEYTURN_PORT=4100 KEYTURN_ADMIN_PORT=4101 npm run quickstart`);
}

function endOfProcess(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

async function walk(core: Core, urls: { publicUrl: string; adminUrl: string }, options: Options): Promise<void> {
  const steps: { title: string; curl: string; status: number; body: unknown }[] = [];
  const step = async (title: string, call: Call, expected: number): Promise<Record<string, unknown>> => {
    const answer = await send(call);
    steps.push({ title, curl: toCurl(call), ...answer });
    if (!options.json) print(showStep(steps.length, title, call, answer));
    if (answer.status !== expected)
      throw new CommandEnd(
        1,
        `error: Expected status ${expected}, but received ${answer.status}. See the response above.`,
      );
    return answer.body as Record<string, unknown>;
  };
  if (!options.json) print(heading(core.config, urls));

  const { contactId, operatorToken } = await becomeOperator(core);
  const admin = `${urls.adminUrl}/admin/v1`;
  const headers = { Authorization: `Bearer ${operatorToken}` };
  const find = async (query: string) => {
    const { body } = await send({ method: 'GET', url: `${admin}/clients?limit=200&${query}`, headers });
    return (body as { data?: Record<string, unknown>[] }).data ?? [];
  };
  const register = async (what: string, found: Record<string, unknown> | undefined, json: Record<string, unknown>) => {
    const again: Call = { method: 'POST', url: `${admin}/clients/${found?.['client_id']}/secret/reveal`, headers };
    const key = { 'Idempotency-Key': randomUUID() };
    const first: Call = { method: 'POST', url: `${admin}/clients`, headers: { ...headers, ...key }, json };
    const body = found
      ? await step(`Show the secret of ${what}, which an earlier run registered`, again, 200)
      : await step(`Register ${what}`, first, 201);
    return { clientId: String(body['client_id']), clientSecret: String(body['client_secret']) };
  };

  await step(
    'Show the operator, with a new operator token',
    { method: 'GET', url: `${admin}/contacts/${contactId}`, headers },
    200,
  );
  const servers = await find('kind=resource_server');
  const server = await register(
    'the resource server (an API that receives tokens)',
    servers.find((client) => client['resource'] === resource),
    { name: serverName, kind: 'resource_server', resource, information },
  );
  const integrations = await find(`kind=integration&q=${encodeURIComponent(integrationName)}`);
  const integration = await register(
    'the integration (a program that requests tokens)',
    integrations.find((client) => client['name'] === integrationName),
    { name: integrationName, kind: 'integration', scope: 'orders:read orders:create products:read contacts:read' },
  );
  const token = await step(
    'The integration requests an access token with its Client ID and secret',
    {
      method: 'POST',
      url: `${urls.publicUrl}/oauth2/token`,
      user: integration,
      form: { grant_type: 'client_credentials', scope: 'orders:read products:read' },
    },
    200,
  );
  const firstTokenMs = Math.round(performance.now());
  const accessToken = String(token['access_token']);
  const introspection = await step(
    'The resource server introspects the token: is it active, and what may it do?',
    { method: 'POST', url: `${urls.publicUrl}/oauth2/introspect`, user: server, form: { token: accessToken } },
    200,
  );
  if (introspection['active'] !== true)
    throw new CommandEnd(1, 'error: The token is not active, although it was just issued.');

  const { issueConsoleLink } = await import('../admin/console/sign-in/prove.ts');
  const link = await core.change((transaction) => issueConsoleLink(transaction, core, commandActor(), contactId));
  const consoleUrl = new URL(link, urls.adminUrl).href;
  if (!options.json) return print(whatNext(core.config, { ...urls, consoleUrl }, firstTokenMs));
  print(
    toJson({
      issuer: core.config.issuer,
      public_url: urls.publicUrl,
      admin_url: urls.adminUrl,
      console_url: consoleUrl,
      operator: { id: contactId, operator_token: operatorToken },
      resource_server: { client_id: server.clientId, client_secret: server.clientSecret, resource },
      integration: { client_id: integration.clientId, client_secret: integration.clientSecret },
      access_token: accessToken,
      first_token_ms: firstTokenMs,
      steps,
    }),
  );
}

/**
 * Finds the operator of earlier runs or creates one, and issues a new operator token. This revokes the token of an
 * earlier run. It cannot be shown again, and a copy in a file would be another credential on disk with every
 * permission.
 */
async function becomeOperator(core: Core): Promise<{ contactId: string; operatorToken: string }> {
  const { listContacts } = await import('../contacts/contact-store.ts');
  const { createContact, issueOperatorToken } = await import('../contacts/manage-contacts.ts');
  const actor = commandActor();
  return await core.change(async (transaction) => {
    const [found] = (await listContacts(transaction, { q: operator.externalId, limit: 200 })).filter(
      (contact) => contact.externalId === operator.externalId,
    );
    const contact = found ?? (await createContact(transaction, core, actor, { ...operator, permissions }));
    const { operatorToken } = await issueOperatorToken(transaction, core, actor, contact.id);
    return { contactId: contact.id, operatorToken };
  });
}

function heading(config: Config, { publicUrl, adminUrl }: { publicUrl: string; adminUrl: string }): string {
  const where = config.databaseUrl ? 'in the database of DATABASE_URL' : `in ${config.dataDir}`;
  return `${paint('bold', 'Keyturn')}  public ${publicUrl}  admin ${adminUrl}  data ${where}
You can run every line that starts with curl while this server is running.`;
}

function showStep(number: number, title: string, call: Call, answer: Answer): string {
  // Lists of words are printed on one line, to keep the output short.
  const body = toJson(answer.body)
    .replace(/\[[^[\]{}]*\]/g, (list) => list.replace(/\s+/g, ' '))
    .replace(/^/gm, '  ');
  return `\n${paint('bold', `${number}. ${title}`)}\n${paint('cyan', toCurl(call))}\n  ${answer.status}\n${paint('dim', body)}`;
}

function whatNext(
  config: Config,
  urls: { publicUrl: string; adminUrl: string; consoleUrl: string },
  firstTokenMs: number,
): string {
  const next = {
    Console: `${urls.consoleUrl} (this link works once, within ten minutes)`,
    'Your own clients': `repeat steps 2 and 3 with your names; all endpoints: ${urls.adminUrl}/admin/v1/openapi.json`,
    Discovery: `${urls.publicUrl}/.well-known/oauth-authorization-server`,
    Health: `${urls.publicUrl}/readyz`,
    'Command line': config.databaseUrl
      ? 'keyturn clients list, keyturn audit list, keyturn doctor; from a checkout: npm run -s keyturn -- …'
      : 'keyturn clients list, keyturn audit list, keyturn doctor, after this server was stopped; from a checkout: npm run -s keyturn -- …',
    ...(config.databaseUrl
      ? {}
      : { Production: 'set DATABASE_URL, REDIS_URL and KEYTURN_ROOT_KEY, then run keyturn migrate' }),
  };
  const seconds = (firstTokenMs / 1_000).toFixed(1);
  return `\nFirst token ${seconds} s after the start.\n\n${paint('bold', 'Next steps')}\n${sheet(next)}\n`;
}
