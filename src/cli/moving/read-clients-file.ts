import { parseAllDocuments } from 'yaml';
import { CommandEnd } from '../terminal.ts';
import {
  type FileContent,
  type ForeignClients,
  type FoundClient,
  lettersOf,
  type ReadClient,
  type ReadRow,
  type Surroundings,
} from './clients-file.ts';
import { findClients } from './find-clients.ts';
import { isMembers, type Members } from './members.ts';
import { readCognito, readEntra, readOkta, readZitadel } from './read-cloud-client.ts';
import { readAuthelia, readDex, readIdentityServer } from './read-configured-client.ts';
import { readCsv } from './read-csv.ts';
import { isKeycloakClient, readKeycloakClient } from './read-keycloak-client.ts';
import { readRegistration } from './read-registration.ts';

/** The form in which a server exports its clients. */
type ClientFormat = {
  name: string;
  /** Returns whether a client has this form. @param list the members of the file that lead to it. */
  fits(client: Members, list: string): boolean;
  /** Reads a client. A format with other names than RFC 7591 translates them and leaves the rest to `readRegistration`. */
  read(client: Members, surroundings: Surroundings): ReadClient;
};

/** Every format, the most specific ones first. The last one takes all other clients. */
const formats: readonly ClientFormat[] = [
  { name: 'Keycloak', fits: isKeycloakClient, read: readKeycloakClient },
  { name: 'IdentityServer', fits: has('allowedgranttypes', 'clientsecrets'), read: readIdentityServer },
  { name: 'Cognito', fits: has('userpoolid', 'userpoolclient'), read: readCognito },
  { name: 'Okta', fits: has('signonmode'), read: readOkta },
  { name: 'Entra', fits: (client) => 'appId' in client, read: readEntra },
  {
    name: 'ZITADEL',
    fits: has('machine', 'human', 'apiconfig', 'oidcconfig', 'samlconfig', 'user'),
    read: readZitadel,
  },
  {
    name: 'Authelia',
    fits: (client, list) => list.endsWith('oidc.clients') || has('authorizationpolicy')(client),
    read: readAuthelia,
  },
  {
    name: 'dex',
    fits: (client, list) => list === 'staticclients' || ('redirectURIs' in client && 'id' in client),
    read: readDex,
  },
  { name: 'RFC 7591', fits: () => true, read: readRegistration },
];

/** Reads a client in the format that it has. @param list the members of the file that lead to it. */
function readForeignClient(value: unknown, list: string, surroundings: Surroundings): ReadClient {
  if (!isMembers(value)) return { reasons: ['it is not a client object'] };
  const format = formats.find(({ fits }) => fits(value, list)) as ClientFormat;
  return format.read(value, surroundings);
}

function has(...names: string[]): (client: Members) => boolean {
  return (client) => Object.keys(client).some((name) => names.includes(lettersOf(name)));
}

/**
 * Reads the clients of another server from CSV with a heading, JSON or YAML. Each client is read in the format that it
 * has. A client that cannot be read is refused, and the others are read.
 * @throws {CommandEnd} 2 if the file has an unknown format; while the rows are read, if it is malformed or has no
 * clients. No message contains the value of a secret.
 */
export function readClientsFile(bytes: Uint8Array): ForeignClients {
  const content = findContent(decodeText(bytes));
  return {
    warnings: content.warnings,
    rows: function* () {
      let isEmpty = true;
      for (const found of content.clients()) {
        isEmpty = false;
        yield readRow(found);
      }
      if (isEmpty) throw new CommandEnd(2, 'error: The file contains no clients.');
    },
  };
}

function findContent(text: string): FileContent {
  if (/^\s*[[{]/.test(text)) return findClients(text, { isSource: true });
  return yamlStart.test(text) ? findClients(yamlToJson(text), { isSource: false }) : readCsv(text);
}

function readRow(found: FoundClient): ReadRow {
  const { place } = found;
  const refuse = (reasons: readonly string[]): ReadRow => ({
    kind: 'refused',
    refused: { place, clientId: undefined, reasons },
  });
  if ('reasons' in found) return refuse(found.reasons);
  const read = readForeignClient(found.value, found.list, found.surroundings);
  if ('reasons' in read) return refuse(read.reasons);
  if ('skipped' in read) return { kind: 'skipped', place, clientId: read.skipped };
  if (!read.isMoved) return { kind: 'skipped', place, clientId: read.row.clientId };
  return { kind: 'row', row: { place, ...read.row } };
}

/** The beginning of a YAML text, perhaps after comments. */
const yamlStart = /^\s*(?:#[^\n]*\n\s*)*(?:---(?:\s|$)|%YAML|- [\w"']|[\w-]+:(?:\s|$))/;
const maxYamlCharacters = 16 * 1024 * 1024;

function yamlToJson(text: string): string {
  if (text.length > maxYamlCharacters) refuse('The YAML file is larger than 16 MiB', 'convert it to JSON');
  const documents = parseAllDocuments(text, { logLevel: 'silent', prettyErrors: true });
  const list = Array.isArray(documents) ? documents : [];
  const error = list.flatMap((document) => document.errors)[0];
  if (error) {
    // The parser's own message is not shown, because it contains a part of the file.
    const [position] = error.linePos ?? [];
    const place = position ? `line ${position.line}, column ${position.col}` : 'its end';
    throw new CommandEnd(2, `error: The YAML cannot be read: error at ${place}.`);
  }
  try {
    return list.map((document) => JSON.stringify(document.toJS({ maxAliasCount: 1_000 })) ?? 'null').join('\n');
  } catch {
    throw new CommandEnd(2, 'error: The YAML cannot be read: it has too many aliases.');
  }
}

const accepted =
  'Accepted formats are JSON, YAML, and CSV with a header row, in UTF-8, or in UTF-16 with a byte order mark';
const maxBytes = 256 * 1024 * 1024;

/**
 * Decodes a file of clients: UTF-8, or UTF-16 if it begins with a byte order mark, as Excel and PowerShell write it.
 * @throws {CommandEnd} 2 that says what the file looks like and which formats are accepted. No message contains a part
 * of the file.
 */
function decodeText(bytes: Uint8Array): string {
  return requireKnownFormat(decodeBytes(bytes));
}

function decodeBytes(bytes: Uint8Array): string {
  if (bytes.length > maxBytes) refuse('The file is larger than 256 MiB', 'split it, and import each part');
  const [first, second] = bytes;
  if (first === 0x1f && second === 0x8b) refuse('The file is compressed with gzip', 'unpack it');
  if (first === 0x50 && second === 0x4b)
    refuse('The file is a ZIP archive or an Excel workbook', 'unpack it, or save it as CSV');
  if (first === 0xff && second === 0xfe) return decode(bytes, 'utf-16le', 'UTF-16');
  if (first === 0xfe && second === 0xff) return decode(bytes, 'utf-16be', 'UTF-16');
  if (bytes.subarray(0, 64).includes(0))
    refuse('The file looks like UTF-16 without a byte order mark, or like a binary file', 'save it as UTF-8');
  return decode(bytes, 'utf-8', 'UTF-8');
}

function decode(bytes: Uint8Array, encoding: string, name: string): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return refuse(
      encoding === 'utf-8'
        ? 'The file is not UTF-8; it looks like Latin-1 or Windows-1252'
        : `The file is not valid ${name}`,
      'save it as UTF-8',
    );
  }
}

function requireKnownFormat(text: string): string {
  const start = text.trimStart().slice(0, 200);
  if (start === '') refuse('The file is empty', 'it must contain clients');
  if (start.startsWith('<'))
    refuse('The file looks like HTML or XML, perhaps a sign-in page', 'export the clients as JSON');
  return text;
}

function refuse(problem: string, advice: string): never {
  throw new CommandEnd(2, `error: ${problem}: ${advice}. ${accepted}.`);
}
