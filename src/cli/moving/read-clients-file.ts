import { CommandEnd } from '../terminal.ts';
import type { ForeignClients } from './clients-file.ts';
import { decodeText } from './decode-text.ts';
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
