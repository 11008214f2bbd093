import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { permissions } from '../contacts/contact.ts';
import type { Core } from '../core.ts';
import { type Answer, type Call, send, toCurl } from './curl.ts';
import { commandActor } from './stores.ts';
import { CommandEnd, paint, print, sheet, toJson } from './terminal.ts';

type Body = Record<string, unknown>;
type Credentials = { clientId: string; clientSecret: string };
type Urls = { publicUrl: string; adminUrl: string };

/** Pause between two requests of the integration that calls during the rotation. */
const pauseMs = 20;
const callsAfterMove = 25;

const resource = 'https://api.example.com';
const information = ['orders', 'products', 'contacts'];
const serverName = 'Example API';
const integrationName = 'Example integration';
const operator = { name: 'Quickstart operator', email: 'operator@example.com', externalId: 'keyturn-quickstart' };

/**
 * Registers an API and an integration on a running server, gets a token and rotates the secret. Prints each step.
 * Returns a function that issues a new link to the console.
 */
export async function walkThroughQuickstart(
  core: Core,
  urls: { publicUrl: string; adminUrl: string },
  options: { json?: true; verbose?: true; once?: true },
): Promise<() => Promise<string>> {
  const steps: { title: string; curl: string; status: number; body: unknown }[] = [];
  const step = async (
    title: string,
    call: Call,
    expected: number,
    summarize: (body: Body, headers: IncomingHttpHeaders) => Body,
  ): Promise<Body> => {
    const answer = await send(call);
    const { status, body } = answer;
    steps.push({ title, curl: toCurl(call), status, body });
    const shown = options.verbose || status !== expected ? body : summarize(body as Body, answer.headers);
    if (!options.json) print(showStep(steps.length, title, call, { status, body: shown }, options.verbose));
    if (answer.status !== expected)
      throw new CommandEnd(1, `error: Expected status ${expected}, but received ${status}. See the response above.`);
    return body as Body;
  };
  if (!options.json) print(addresses(urls));

  const { contactId, operatorToken } = await becomeOperator(core);
  const admin = `${urls.adminUrl}/admin/v1`;
  const headers = { Authorization: `Bearer ${operatorToken}` };
  const list = async (path: string) => {
    const { body } = await send({ method: 'GET', url: admin + path, headers });
    return (body as { data?: Body[] }).data ?? [];
  };
  const register = async (label: string, found: Body | undefined, json: Body) => {
    const again: Call = { method: 'POST', url: `${admin}/clients/${found?.['client_id']}/secret/reveal`, headers };
    const key = { 'Idempotency-Key': randomUUID() };
    const first: Call = { method: 'POST', url: `${admin}/clients`, headers: { ...headers, ...key }, json };
    const body = found
      ? await step(`Show the secret of ${label}, which an earlier run registered`, again, 200, credentialsOf)
      : await step(`Register ${label}`, first, 201, credentialsOf);
    return { clientId: String(body['client_id']), clientSecret: String(body['client_secret']) };
  };

  await step(
    'Show the operator, with a new operator token',
    { method: 'GET', url: `${admin}/contacts/${contactId}`, headers },
    200,
    ({ name, permissions }) => ({ name, permissions }),
  );
  const servers = await list('/clients?limit=200&kind=resource_server');
  const server = await register(
    'the resource server (an API that receives tokens)',
    servers.find((client) => client['resource'] === resource),
    { name: serverName, kind: 'resource_server', resource, information },
  );
  const integrations = await list(`/clients?limit=200&kind=integration&q=${encodeURIComponent(integrationName)}`);
  const integration = await register(
    'the integration (a program that requests tokens)',
    integrations.find((client) => client['name'] === integrationName),
    { name: integrationName, kind: 'integration', scope: 'orders:read orders:create products:read contacts:read' },
  );
  const tokenRequest = (user: Credentials): Call => ({
    method: 'POST',
    url: `${urls.publicUrl}/oauth2/token`,
    user,
    form: { grant_type: 'client_credentials', scope: 'orders:read products:read' },
  });
  const token = await step(
    'The integration requests an access token with its Client ID and secret',
    tokenRequest(integration),
    200,
    tokenOf,
  );
  const firstTokenMs = Math.round(performance.now());
  const accessToken = String(token['access_token']);
  const introspection = await step(
    'The resource server introspects the token: is it active, and what may it do?',
    { method: 'POST', url: `${urls.publicUrl}/oauth2/introspect`, user: server, form: { token: accessToken } },
    200,
    ({ active, scope, exp }) => ({ active, scope, exp }),
  );
  if (introspection['active'] !== true)
    throw new CommandEnd(1, 'error: The token is not active, although it was just issued.');

  const ofClient = `/clients/${integration.clientId}`;
  const rotating = (await list(`${ofClient}/regenerations`)).find(({ state }) => state === 'overlapping');
  if (rotating) {
    await send({ method: 'POST', url: `${admin}${ofClient}/regenerations/${rotating['id']}/finish`, headers });
    if (!options.json) print('\nEnded the grace period of the rotation of an earlier run.');
  }
  const caller = await startCalling(tokenRequest, integration);
  const review = await step(
    'Review a rotation of the secret, while the integration keeps requesting tokens: who would break?',
    { method: 'POST', url: `${admin}${ofClient}/regeneration/review`, headers },
    200,
    ({ impact }) => {
      const { used_by, tokens_24h, live_tokens } = impact as Body;
      return { used_by: shortSources(used_by), tokens_24h, live_tokens };
    },
  );
  const rotated = await step(
    'Rotate the secret, with a grace period of one day',
    {
      method: 'POST',
      url: `${admin}${ofClient}/regenerate`,
      headers: { ...headers, 'Idempotency-Key': randomUUID() },
      json: { confirmation: review['confirmation'], overlap_seconds: 86_400 },
    },
    201,
    ({ client_secret, previous }) => ({ client_secret, previous }),
  );
  const current = { ...integration, clientSecret: String(rotated['client_secret']) };
  await step(
    'The previous secret still works. The answer announces its end',
    tokenRequest(integration),
    200,
    (_, headers) => ({
      deprecation: headers['deprecation'],
      sunset: headers['sunset'],
    }),
  );
  await step('The new secret works too', tokenRequest(current), 200, tokenOf);
  const { requests, failures } = await caller.moveTo(current);
  await step(
    'See who has moved to the new secret',
    { method: 'GET', url: `${admin}${ofClient}/regenerations`, headers },
    200,
    ({ data }) => {
      const { state, still_using_old, using_new, moved } = (data as Body[])[0] ?? {};
      const [old, current] = [shortSources(still_using_old), shortSources(using_new)];
      return { state, still_using_old: old, using_new: current, moved: shortSources(moved) };
    },
  );
  if (failures > 0) throw new CommandEnd(1, `error: ${failures} of ${requests} requests failed during the rotation.`);

  const { issueConsoleLink } = await import('../admin/console/sign-in/prove.ts');
  const newLink = async () => {
    const link = await core.change((transaction) => issueConsoleLink(transaction, core, commandActor(), contactId));
    return new URL(link, urls.adminUrl).href;
  };
  const consoleUrl = await newLink();
  if (!options.json) {
    print(whatNext(core.config, { ...urls, consoleUrl }, { firstTokenMs, requests, stops: options.once === true }));
    return newLink;
  }
  print(
    toJson({
      issuer: core.config.issuer,
      public_url: urls.publicUrl,
      admin_url: urls.adminUrl,
      console_url: consoleUrl,
      operator: { id: contactId, operator_token: operatorToken },
      resource_server: { client_id: server.clientId, client_secret: server.clientSecret, resource },
      integration: { client_id: current.clientId, client_secret: current.clientSecret },
      access_token: accessToken,
      first_token_ms: firstTokenMs,
      requests_during_rotation: requests,
      steps,
    }),
  );
  return newLink;
}

/** Returns only what tells sources apart. */
function shortSources(sources: unknown): Body[] {
  return ((sources ?? []) as Body[]).map(({ address, user_agent }) => ({ address, user_agent }));
}

/**
 * Requests tokens one after the other, as a running integration does. `moveTo` changes the credentials, lets the
 * integration use the new ones a few times, and returns the counts.
 */
async function startCalling(request: (user: Credentials) => Call, first: Credentials) {
  let user = first;
  let remaining = Number.POSITIVE_INFINITY;
  const counts = { requests: 0, failures: 0 };
  const call = async () => {
    const headers = { 'User-Agent': 'example-integration/1.0' };
    const { status } = await send({ ...request(user), headers }).catch(() => ({ status: 0 }));
    counts.requests += 1;
    if (status !== 200) counts.failures += 1;
    await wait(pauseMs);
  };
  const callOn = async () => {
    for (; remaining > 0; remaining -= 1) await call();
  };
  // A review no longer holds if a caller appears after it, so this one has been seen before the review.
  await call();
  const running = callOn();
  return {
    moveTo: async (next: Credentials) => {
      user = next;
      remaining = callsAfterMove;
      await running;
      return counts;
    },
  };
}

const credentialsOf = ({ client_id, client_secret }: Body): Body => ({ client_id, client_secret });
const tokenOf = ({ access_token, expires_in, scope }: Body): Body => ({ access_token, expires_in, scope });

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

function addresses({ publicUrl, adminUrl }: Urls): string {
  return `\nPublic listener ${publicUrl}, admin listener ${adminUrl}.
You can run every line that starts with curl while this server is running.`;
}

function showStep(number: number, title: string, call: Call, answer: Pick<Answer, 'status' | 'body'>, isWhole?: true) {
  const body = isWhole ? `\n${toJson(answer.body)}` : ` ${JSON.stringify(answer.body)}`;
  return `\n${paint('bold', `${number}. ${title}`)}\n${paint('cyan', toCurl(call))}\n${answer.status}${paint('dim', body)}`;
}

function whatNext(
  config: Config,
  urls: Urls & { consoleUrl: string },
  { firstTokenMs, requests, stops }: { firstTokenMs: number; requests: number; stops: boolean },
): string {
  const next = {
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
  return `
First token ${seconds} s after the start.
The integration requested ${requests} tokens during the rotation. None of the requests failed.

${paint('bold', 'Next steps')}
${sheet(next)}

${
  stops
    ? 'The server stops now. Without --once it keeps running, and a link to the console is printed here.'
    : `${paint('bold', 'Console')}, where the rotation can be watched, ended or undone. The link works once, within ten minutes:\n${urls.consoleUrl}`
}`;
}
