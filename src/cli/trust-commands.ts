import { type Command, InvalidArgumentError, Option } from 'commander';
import { readCondition, type WrittenCondition, writeCondition } from '../trusts/condition-text.ts';
import { presetNames } from '../trusts/trust.ts';
import { addAct, addListCommand } from './acts.ts';
import { callAdmin, type Json } from './call-admin.ts';
import { readJsonFile, readNamedFile, readSecretFile } from './named-files.ts';
import { withAdmin } from './stores.ts';
import { duration, type OutputOptions, plain, present, say, sheet, table } from './terminal.ts';

/** Members of the admin API's trust that are displayed. */
type ShownTrust = Json & {
  id: string;
  client_id: string;
  name: string;
  preset: string;
  issuer: string;
  audience: string;
  conditions: WrittenCondition[];
  max_lifetime: number;
  enabled: boolean;
  keys: { source: string; jwks_uri: string | null };
};

type ShownTrial = Json & {
  accepted: boolean;
  problem: string | null;
  header: { alg: string | null; kid: string | null };
  issuer: string | null;
  issued_at: string | null;
  expires_at: string | null;
  trusts: {
    name: string;
    client_id: string;
    accepted: boolean;
    checks: { check: string; claim: string | null; expected: string; found: string | null; met: boolean }[];
  }[];
};

type FieldOptions = OutputOptions & {
  name?: string;
  preset?: string;
  issuer?: string;
  audience?: string;
  condition?: WrittenCondition[];
  jwks?: Json;
  jwksUri?: string;
  inCluster?: true;
  ca?: string;
  maxLifetime?: number;
};

const one = '/trusts/{id}';
const example = '4a7d1e90-2b6c-4f3d-8e15-9c0b7a6d5f21';

/** Adds the commands of trusts in issuers of workload identities. */
export function addTrustCommands(trusts: Command): void {
  const subject = { path: one, parameter: 'id', example } as const;
  addCreate(trusts);
  addListCommand<ShownTrust, Json & { client?: string }>(trusts, {
    description: 'list trusts, newest first',
    route: 'GET /trusts',
    options: [
      new Option('--client <client_id>', 'only trusts of this integration'),
      new Option('-q, --q <text>', 'search: a part of the name or of the issuer'),
    ],
    toQuery: ({ client, ...query }) => ({ ...query, client_id: client }),
    columns: {
      id: ({ id }) => id,
      name: ({ name }) => name,
      integration: ({ client_id: clientId }) => clientId,
      issuer: ({ issuer }) => issuer,
      conditions: ({ conditions }) => conditions.map(writeCondition).join(', '),
      enabled: ({ enabled }) => (enabled ? 'yes' : 'no'),
    },
    examples: ['keyturn trusts list --client kti_4fW1mZ8qYc0RkT7pLs2VnB'],
  });
  addAct<ShownTrust>(trusts, subject, { name: 'show', description: 'show a trust', method: 'GET', text: showTrust });
  addUpdate(trusts);
  addAct(trusts, subject, {
    name: 'delete',
    description: 'delete a trust',
    method: 'DELETE',
    question: (name) => `Delete ${name}? Its tokens are not accepted any more.`,
    json: (id) => ({ id, deleted: true }),
    text: (_, id) => `${id} was deleted.`,
  });
  addTest(trusts);
}

function addCreate(trusts: Command): void {
  withFields(trusts.command('create'))
    .description('trust an issuer whose tokens stand for an integration')
    .requiredOption('--client <client_id>', 'the integration')
    .requiredOption('--name <text>', 'name of the trust')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn trusts create --client kti_4fW1mZ8qYc0RkT7pLs2VnB --name 'Shop, deployment' --preset github --condition repository_id=719384512 --condition environment=production
  keyturn trusts create --client kti_4fW1mZ8qYc0RkT7pLs2VnB --name 'Shop in the cluster' --preset kubernetes --issuer https://kubernetes.default.svc.cluster.local --in-cluster --condition /kubernetes.io/namespace=shop --condition /kubernetes.io/serviceaccount/name=checkout`,
    )
    .action(async (options: FieldOptions & { client: string }) => {
      const request = { body: { client_id: options.client, ...toFields(options) } };
      const created = await withAdmin((admin) => callAdmin<ShownTrust>(admin, 'POST /trusts', request));
      present(options, created, () => showTrust(created));
    });
}

function addUpdate(trusts: Command): void {
  withFields(trusts.command('update'))
    .description('change only the given fields; tokens that do not meet them are rejected at once')
    .argument('<id>', 'the id of the trust')
    .option('--name <text>', 'name of the trust')
    .option('--enable', 'accept its tokens again')
    .addOption(new Option('--disable', 'accept its tokens no longer').conflicts('enable'))
    .option('--json', 'print the changed trust as one JSON object')
    .addHelpText('after', `\nExamples:\n  keyturn trusts update ${example} --disable`)
    .action(async (id: string, options: FieldOptions & { enable?: true; disable?: true }) => {
      const enabled = options.enable ? true : options.disable ? false : undefined;
      const request = { params: { id }, body: { ...toFields(options), enabled } };
      const trust = await withAdmin((admin) => callAdmin<ShownTrust>(admin, `PATCH ${one}`, request));
      present(options, trust, () => showTrust(trust));
    });
}

function addTest(trusts: Command): void {
  trusts
    .command('test')
    .description('try a token: which rule of which trust it meets; reads the token from a file or standard input')
    .argument('[file]', 'a file with the token; by default standard input')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  kubectl create token checkout --namespace shop --audience https://auth.example.com | keyturn trusts test',
    )
    .action(async (file: string | undefined, options: OutputOptions) => {
      const token = readSecretFile('file', file === undefined || file === '-' ? 0 : file);
      const trial = await withAdmin((admin) => callAdmin<ShownTrial>(admin, 'POST /trusts/test', { body: { token } }));
      present(options, trial, () => showTrial(trial));
      if (!trial.accepted) process.exitCode = 1;
      if (!trial.accepted && !options.json) say('No trust accepts the token.');
    });
}

function withFields(command: Command): Command {
  return command
    .addOption(
      new Option('--preset <name>', 'the platform, whose rules the conditions must follow').choices(presetNames),
    )
    .option('--issuer <url>', 'the issuer (iss) of the tokens; for SPIFFE spiffe:// and the trust domain')
    .option('--audience <text>', 'the only audience (aud) of the tokens (default: the issuer of this server)')
    .option(
      '--condition <claim=value>',
      'a condition: claim=value, claim=one|another, or claim=beginning*; repeatable; a claim that begins with / is a JSON Pointer',
      collectConditions,
    )
    .option('--jwks <file>', 'a file with the public keys of the issuer (JWKS), instead of discovery', readJsonFile)
    .option('--jwks-uri <url>', 'the https URL of the public keys of the issuer, instead of discovery')
    .option('--in-cluster', 'read the keys from the API of the cluster in KEYTURN_CLUSTER_URL')
    .option('--ca <file>', 'a PEM file with the CAs of the issuer', readNamedFile)
    .option('--max-lifetime <time>', 'the longest lifetime of its tokens, such as 1h (default: 24h)', duration);
}

function toFields(options: FieldOptions): Json {
  return {
    name: options.name,
    preset: options.preset,
    issuer: options.issuer,
    audience: options.audience,
    conditions: options.condition,
    jwks: options.jwks,
    jwks_uri: options.jwksUri,
    in_cluster: options.inCluster,
    ca: options.ca,
    max_lifetime: options.maxLifetime,
  };
}

function collectConditions(text: string, earlier: readonly WrittenCondition[] = []): WrittenCondition[] {
  const condition = readCondition(text);
  if (condition) return [...earlier, condition];
  throw new InvalidArgumentError('It must be a claim and a value, such as environment=production.');
}

function showTrust(trust: ShownTrust): string {
  return sheet({
    id: trust.id,
    name: trust.name,
    integration: trust.client_id,
    preset: trust.preset,
    issuer: trust.issuer,
    audience: trust.audience,
    keys: trust.keys.jwks_uri ?? trust.keys.source,
    conditions: trust.conditions.map(writeCondition).join(', '),
    'longest lifetime': `${trust.max_lifetime} seconds`,
    enabled: trust.enabled ? 'yes' : 'no',
  });
}

function showTrial(trial: ShownTrial): string {
  const head = sheet({
    accepted: trial.accepted ? 'yes' : 'no',
    issuer: plain(trial.issuer ?? 'none'),
    key: plain(`${trial.header.kid ?? 'none'} (${trial.header.alg ?? 'no algorithm'})`),
    issued: trial.issued_at ?? 'unknown',
    expires: trial.expires_at ?? 'unknown',
    ...(trial.problem === null ? {} : { problem: trial.problem }),
  });
  const rows = trial.trusts.map(
    ({ name, client_id: clientId, checks }) =>
      `\n${plain(name)} (${clientId})\n${table(
        ['', 'rule', 'expected', 'found'],
        checks.map(({ check, claim, expected, found, met }) => [
          met ? 'ok' : 'no',
          plain(claim ?? check),
          plain(expected),
          plain(found ?? 'nothing'),
        ]),
      )}`,
  );
  return [head, ...rows].join('\n');
}
