import { type Command, InvalidArgumentError, Option } from 'commander';
import { readClaimText } from '../clients/custom-claims.ts';
import { dialectNames } from '../configuration/dialects.ts';
import type { Json } from './call-admin.ts';
import { readJsonFile } from './named-files.ts';
import {
  type NetworkOptions,
  type ShownNetworks,
  showNetworks,
  toNetworkFields,
  withNetworks,
} from './network-options.ts';
import { collect, duration } from './terminal.ts';

/** Options for notes, token lifetimes and claims of clients and access keys, and how these are displayed. */

export type NoteOptions = {
  description?: string | false;
  label?: Readonly<Record<string, string>> | false;
  claim?: Json | false;
};

export type DetailOptions = NoteOptions &
  NetworkOptions & {
    owner?: string | false;
    technicalContact?: string[] | false;
    metadataFile?: Json;
    metadata?: false | true;
    accessTokenTtl?: number | false;
    defaultScope?: string[] | false;
    dialect?: string[] | false;
    scopesFile?: Json;
    selfRotation?: boolean;
  };

/** Members of the admin API's client and access key that are displayed. */
export type ShownNotes = {
  description: string | null;
  labels: Readonly<Record<string, string>>;
  claims: Json;
};

export type ShownDetails = ShownNotes &
  ShownNetworks & {
    owner_contact_id: string | null;
    contacts: string[];
    metadata: Json;
    access_token_ttl: number | null;
    default_scope: string | null;
    dialects: string[];
    self_rotation: boolean;
    scopes: {
      name: string;
      aliases: string[];
      deprecated: string[];
      information: string | null;
      action: string | null;
    }[];
  };

/** Adds the options for a description, labels and claims. @param canRemove whether they can be removed too. */
export function withNotes(command: Command, { canRemove }: { canRemove: boolean }): Command {
  command
    .option('--description <text>', 'notes for people')
    .option(
      '--label <key=value>',
      'a label to sort and filter by; repeatable, and those that are given replace all earlier ones',
      collectLabels,
    )
    .option(
      '--claim <name=value>',
      'a custom claim of tokens: a text, or JSON such as 3, true or ["eu","us"]; repeatable, and those that are given replace all earlier ones',
      collectClaims,
    );
  if (!canRemove) return command;
  return command
    .option('--no-description', 'remove the description')
    .option('--no-label', 'remove every label')
    .option('--no-claim', 'remove every custom claim');
}

/** Adds the options of a client's details. @param canRemove whether they can be removed too. */
export function withDetails(command: Command, { canRemove }: { canRemove: boolean }): Command {
  withNetworks(withNotes(command, { canRemove }), { canRemove })
    .option('--owner <contact_id>', 'the id of the contact who is responsible for the client')
    .option(
      '--technical-contact <address>',
      'whom to ask about the client, such as an e-mail address; repeatable',
      (address: string, earlier: string[] | false | undefined) => [...(earlier || []), address],
    )
    .option('--metadata-file <file>', 'a file with a JSON object for your own programs, at most 16 KiB', readJsonFile)
    .option(
      '--access-token-ttl <time>',
      'lifetime of access tokens, such as 15m, from 60s to 24h; of client and resource server, the shorter one applies',
      duration,
    )
    .option(
      '--default-scope <scopes>',
      'integration: the scopes of a token that is requested without scope, or none to reject such requests; repeatable, or separated by commas',
      collect,
    )
    .option(
      '--dialect <names>',
      `a deviation of another server's clients that is accepted of this one, in addition to KEYTURN_DIALECTS: ${dialectNames.join(', ')}; repeatable, or separated by commas, and those that are given replace all earlier ones`,
      collect,
    );
  command.option('--self-rotation', 'let the program rotate its own credential (POST /oauth2/credentials/rotate)');
  command.option(
    '--scopes-file <file>',
    'resource server: a file with a JSON list of all its named scopes, such as [{"name":"orders.read","description":"Read orders"}]',
    readJsonFile,
  );
  if (!canRemove) return command;
  return command
    .option('--no-self-rotation', 'let only operators rotate the credential')
    .option('--no-owner', 'remove the owner')
    .option('--no-technical-contact', 'remove every technical contact')
    .option('--no-metadata', 'remove the metadata')
    .option('--no-dialect', 'switch off every dialect of this client')
    .option(
      '--no-access-token-ttl',
      'remove the lifetime, so that the one of the resource server or deployment applies',
    )
    .option(
      '--no-default-scope',
      'remove the default scope, so that a token without a requested scope gets all scopes',
    );
}

/** Converts these options to the fields of the admin API. */
export function toNoteFields({ description, label, claim }: NoteOptions): Json {
  return {
    description: description === false ? null : description,
    labels: label === false ? {} : label,
    claims: claim === false ? {} : claim,
  };
}

export function toDetailFields(options: DetailOptions): Json {
  const { owner, technicalContact, metadataFile, metadata, accessTokenTtl, defaultScope, scopesFile } = options;
  const { dialect, selfRotation } = options;
  return {
    ...toNoteFields(options),
    owner_contact_id: owner === false ? null : owner,
    contacts: technicalContact === false ? [] : technicalContact,
    metadata: metadata === false ? {} : metadataFile,
    access_token_ttl: accessTokenTtl === false ? null : accessTokenTtl,
    scopes: scopesFile,
    dialects: dialect === false ? [] : dialect,
    self_rotation: selfRotation,
    ...toNetworkFields(options),
    default_scope: defaultScope === false ? null : defaultScope?.filter((scope) => scope !== 'none').join(' '),
  };
}

/** Option that filters lists of clients and access keys by their state. */
export function stateOption(): Option {
  const choices = ['in-grace-period', 'refused', 'unused', 'expiring'];
  return new Option('--state <state>', 'only those in this state; refused: with a credential that has ended').choices(
    choices,
  );
}

/** Option that filters lists of clients and access keys by label. */
export function labelOption(): Option {
  return new Option('--label <key=value>', 'only those with this label, or with only a key: with any value of it');
}

export function showNotes({ description, labels, claims }: ShownNotes): Record<string, string> {
  return {
    ...(description === null ? {} : { description: description.replaceAll(/\s*\n\s*/g, ' / ') }),
    ...(isEmpty(labels) ? {} : { labels: list(labels, (value) => value) }),
    ...(isEmpty(claims) ? {} : { claims: list(claims, (value) => JSON.stringify(value)) }),
  };
}

export function showDetails(client: ShownDetails): Record<string, string> {
  const { access_token_ttl: ttl, default_scope: scope, dialects, metadata, scopes } = client;
  return {
    ...(scopes.length === 0 ? {} : { scopes: scopes.map(showScope).join(', ') }),
    ...(client.owner_contact_id === null ? {} : { owner: client.owner_contact_id }),
    ...(client.contacts.length === 0 ? {} : { 'technical contacts': client.contacts.join(', ') }),
    ...showNotes(client),
    ...(isEmpty(metadata) ? {} : { metadata: JSON.stringify(metadata) }),
    ...(ttl === null ? {} : { 'token lifetime': `${ttl} s` }),
    ...(scope === null ? {} : { 'default scope': scope || 'none' }),
    ...(dialects.length === 0 ? {} : { dialects: dialects.join(', ') }),
    ...(client.self_rotation ? { 'self-rotation': 'on' } : {}),
    ...(client.allowed_networks ? { networks: showNetworks(client) } : {}),
  };
}

function showScope({ name, aliases, deprecated, information, action }: ShownDetails['scopes'][number]): string {
  const means = information === null ? [] : [`means ${information}:${action}`];
  const also = aliases.length === 0 ? [] : [`also ${aliases.join(' ')}`];
  const old = deprecated.length === 0 ? [] : [`deprecated ${deprecated.join(' ')}`];
  const notes = [...means, ...also, ...old].join('; ');
  return notes ? `${name} (${notes})` : name;
}

function isEmpty(members: object): boolean {
  return Object.keys(members).length === 0;
}

function list<Value>(members: Readonly<Record<string, Value>>, show: (value: Value) => string): string {
  return Object.entries(members)
    .map(([name, value]) => `${name}=${show(value)}`)
    .join(', ');
}

export function collectLabels(
  text: string,
  earlier: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const [key, value] = split(text);
  return Object.fromEntries([...Object.entries(earlier ?? {}), [key, value]]);
}

function collectClaims(text: string, earlier: Json | undefined): Json {
  const [name, value] = split(text);
  return Object.fromEntries([...Object.entries(earlier ?? {}), [name, readClaimText(value)]]);
}

function split(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be a name and a value, such as team=logistics.');
  return [text.slice(0, at), text.slice(at + 1)];
}
