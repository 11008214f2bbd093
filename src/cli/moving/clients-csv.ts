import { stringify } from 'csv-stringify/sync';
import { subjectFields } from '../../clients/certificate-subject.ts';

/** Columns of a CSV file of clients, with the names of RFC 7591, RFC 8705, RFC 9449 and the admin API. */
export const clientColumns = [
  'client_id',
  'client_secret',
  'client_secret_hash',
  'name',
  'scope',
  'enabled',
  'token_endpoint_auth_method',
  'token_endpoint_auth_signing_alg',
  'jwks',
  'jwks_uri',
  ...subjectFields,
  'tls_client_certificate_bound_access_tokens',
  'dpop_bound_access_tokens',
  'access_key',
  'reveal',
  'resource',
  'description',
  'owner',
  'owner_contact_id',
  'labels',
  'metadata',
  'contacts',
  'access_token_ttl',
  'default_scope',
  'dialects',
  'claims',
  'self_rotation',
  'allowed_networks',
  'network_mode',
] as const;

/**
 * Field that a spreadsheet evaluates as a formula (CWE-1236). A leading quote makes it text; a field that already has
 * one gets another.
 */
const formula = /^'*[=+\-@\t\r＝＋－＠]/;

/** Writes CSV in which no field is a formula for a spreadsheet. */
export function toCsv(rows: readonly (readonly string[])[]): string {
  const escaped = rows.map((row) => row.map((field) => (formula.test(field) ? `'${field}` : field)));
  return stringify(escaped, { quoted_match: /^\s|\s$/ }).trimEnd();
}

/** Reads a field as `toCsv` wrote it. */
export function unescapeField(field: string): string {
  return field.startsWith("'") && formula.test(field) ? field.slice(1) : field;
}
