import type { X509Certificate } from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import { InvalidInput } from '../errors.ts';
import { textProblem } from '../text/read-text.ts';
import { parseDistinguishedName, readDer, readDistinguishedName } from './distinguished-name.ts';

/** The fields of RFC 8705 §2.1.2 that identify a certificate. */
export const subjectFields = [
  'tls_client_auth_subject_dn',
  'tls_client_auth_san_dns',
  'tls_client_auth_san_uri',
  'tls_client_auth_san_ip',
  'tls_client_auth_san_email',
] as const;

type SubjectField = (typeof subjectFields)[number];

/** The subject that a client's certificate must have, as registered. */
export type CertificateSubject = { readonly field: SubjectField; readonly value: string };

/** Context tags of alternative names (RFC 5280 §4.2.1.6). */
const nameTags: Readonly<Record<string, number>> = {
  tls_client_auth_san_email: 0x81,
  tls_client_auth_san_dns: 0x82,
  tls_client_auth_san_uri: 0x86,
  tls_client_auth_san_ip: 0x87,
};

const registered = new WeakMap<CertificateSubject, string>();

/** @throws {InvalidInput} if no certificate could have this subject. */
export function requireUsableSubject(subject: CertificateSubject): void {
  const { field, value } = subject;
  const isName: Record<SubjectField, () => boolean> = {
    tls_client_auth_subject_dn: () => textProblem(value, 1_000) === undefined,
    tls_client_auth_san_dns: () => /^(?!.*\.\.)[\w-][\w.-]*$/.test(value),
    // RFC 5280 §4.2.1.6: these are IA5Strings, hence ASCII. The URL parser alone would drop a NUL or a space.
    tls_client_auth_san_uri: () => /^[\x21-\x7e]+$/.test(value) && URL.canParse(value),
    // A certificate contains no zone.
    tls_client_auth_san_ip: () => isIP(value) !== 0 && !value.includes('%'),
    tls_client_auth_san_email: () => /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/.test(value),
  };
  if (!isName[field]()) throw new InvalidInput(`${field}: must be a name of this kind.`);
  comparable(subject);
}

/** Returns whether a certificate has the registered subject. The caller checks whether the certificate is trusted. */
export function namesSubject(certificate: X509Certificate, subject: CertificateSubject): boolean {
  let expected = registered.get(subject);
  if (expected === undefined) {
    expected = comparable(subject);
    registered.set(subject, expected);
  }
  try {
    return namesOf(certificate, subject.field).includes(expected);
  } catch (error) {
    // Treat a name that OpenSSL accepts and this reader does not understand as one that matches no client.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Returns a normal form, in which equal names are equal strings. */
function comparable({ field, value }: CertificateSubject): string {
  switch (field) {
    case 'tls_client_auth_subject_dn':
      return parseDistinguishedName(value);
    case 'tls_client_auth_san_ip':
      return isIP(value) === 6 ? plainIpv6(value) : value;
    default:
      return fold(field, value);
  }
}

function namesOf(certificate: X509Certificate, field: SubjectField): string[] {
  const [toBeSigned] = readDer(readDer(certificate.raw)[0]?.content ?? Buffer.alloc(0));
  const parts = readDer(toBeSigned?.content ?? Buffer.alloc(0));
  // The version is optional and comes first (RFC 5280 §4.1).
  const subject = parts[parts[0]?.tag === 0xa0 ? 5 : 4];
  if (field === 'tls_client_auth_subject_dn') return subject ? [readDistinguishedName(subject.content)] : [];
  return alternativeNames(parts.find(({ tag }) => tag === 0xa3)?.content)
    .filter(({ tag }) => tag === nameTags[field])
    .map(({ content }) =>
      field === 'tls_client_auth_san_ip' ? readAddress(content) : fold(field, content.toString('latin1')),
    );
}

function alternativeNames(explicitExtensions: Buffer | undefined) {
  const [extensions] = readDer(explicitExtensions ?? Buffer.alloc(0));
  for (const { content } of readDer(extensions?.content ?? Buffer.alloc(0))) {
    const [oid, ...rest] = readDer(content);
    // 2.5.29.17, subjectAltName
    if (oid?.content.toString('hex') !== '551d11') continue;
    const [names] = readDer(rest.at(-1)?.content ?? Buffer.alloc(0));
    return readDer(names?.content ?? Buffer.alloc(0));
  }
  return [];
}

/** RFC 5280 §7.2 and §7.5: host names compare case-insensitively; a URI is compared as it is. */
function fold(field: SubjectField, name: string): string {
  if (field === 'tls_client_auth_san_dns') return name.toLowerCase();
  if (field === 'tls_client_auth_san_email') return name.replace(/@[^@]*$/, (host) => host.toLowerCase());
  return name;
}

function readAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return bytes.length === 16 ? plainIpv6(bytes.toString('hex').replace(/....(?=.)/g, '$&:')) : '';
}

function plainIpv6(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}
