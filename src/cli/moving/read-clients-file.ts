import { CommandEnd } from '../terminal.ts';
import type { ForeignClients } from './clients-file.ts';
import { readClientJson } from './read-client-json.ts';
import { readCsv } from './read-csv.ts';
import { isKeycloakClient, readKeycloakClient } from './read-keycloak-client.ts';
import { readRegistration } from './read-registration.ts';

/**
 * Reads the clients of another server: CSV with a heading, JSON with the names of RFC 7591 (Hydra, Auth0 and Keyturn),
 * or a Keycloak realm. A client that cannot be read is refused, and the others are read.
 * @throws {CommandEnd} 2 if the file has no clients or an unknown format. No message contains the value of a secret.
 */
export function readClientsFile(bytes: Uint8Array): ForeignClients {
  const text = decodeText(bytes);
  const { clients, refused, warnings } = /^\s*[[{]/.test(text) ? readClientJson(text) : readCsv(text);
  if (clients.length === 0 && refused.length === 0) throw new CommandEnd(2, 'error: The file contains no clients.');
  const result: ForeignClients = {
    rows: [],
    refused: refused.map((one) => ({ ...one, clientId: undefined })),
    skipped: [],
    warnings,
  };
  for (const { place, value } of clients) {
    const read = isKeycloakClient(value) ? readKeycloakClient(value) : readRegistration(value);
    if ('reasons' in read) result.refused.push({ place, clientId: undefined, reasons: read.reasons });
    else if (read.isMoved) result.rows.push({ place, ...read.row });
    else result.skipped.push({ place, clientId: read.row.clientId });
  }
  return result;
}

const accepted = 'Accepted formats are JSON and CSV with a header row, in UTF-8, or in UTF-16 with a byte order mark';
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
  if (/^(?:---(?:\s|$)|%YAML|- \w|[\w-]+:(?:\s|$))/.test(start)) {
    refuse('The file looks like YAML', 'convert it to JSON, for example with `yq -o json`');
  }
  return text;
}

function refuse(what: string, whatToDo: string): never {
  throw new CommandEnd(2, `error: ${what}: ${whatToDo}. ${accepted}.`);
}
