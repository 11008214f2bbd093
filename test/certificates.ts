import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate with its private key. */
export type TestCertificate = { cert: string; key: string; x509: X509Certificate };

/** Relative distinguished names in certificate order, each with one or more attributes, as UTF8String by default. */
type TestName = readonly (readonly (readonly [oid: string, value: string, tag?: number])[])[];

type CertificateOptions = {
  subject?: string | TestName;
  /** The issuer; the certificate is self-signed if undefined. */
  issuer?: TestCertificate;
  isCa?: boolean;
  dns?: readonly string[];
  ip?: readonly string[];
  email?: readonly string[];
  uri?: readonly string[];
  notBefore?: Date;
  notAfter?: Date;
  /** OID of the extended key usage. */
  usage?: string;
  keys?: { privateKey: KeyObject; publicKey: KeyObject };
};

const day = 86_400_000;
const commonName = '2.5.4.3';
const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
const rsaWithSha256 = sequence(oid('1.2.840.113549.1.1.11'), tlv(0x05, Buffer.alloc(0)));

/**
 * Creates an X.509 certificate (RFC 5280) with a P-256 key, so that a test states everything the certificate contains.
 */
export function makeCertificate(options: CertificateOptions = {}): TestCertificate {
  const { notBefore = new Date(Date.now() - day), notAfter = new Date(Date.now() + day), issuer } = options;
  const keys = options.keys ?? generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = encodeName(options.subject ?? 'test');
  const signingKey = issuer ? createPrivateKey(issuer.key) : keys.privateKey;
  const algorithm = signingKey.asymmetricKeyType === 'rsa' ? rsaWithSha256 : ecdsaWithSha256;
  const content = sequence(
    explicit(0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    issuer ? subjectOf(issuer) : subject,
    sequence(time(notBefore), time(notAfter)),
    subject,
    keys.publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(options))),
  );
  const signature = sign('sha256', content, signingKey);
  const der = sequence(content, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const x509 = new X509Certificate(der);
  return { cert: x509.toString(), key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), x509 };
}

function extensions({ isCa = false, dns = [], ip = [], email = [], uri = [], usage }: CertificateOptions): Buffer[] {
  const names = [
    ...email.map((value) => tlv(0x81, Buffer.from(value))),
    ...dns.map((value) => tlv(0x82, Buffer.from(value))),
    ...uri.map((value) => tlv(0x86, Buffer.from(value))),
    ...ip.map((value) => tlv(0x87, addressBytes(value))),
  ];
  return [
    extension('2.5.29.19', sequence(...(isCa ? [tlv(0x01, Buffer.from([255]))] : []))),
    ...(names.length > 0 ? [extension('2.5.29.17', sequence(...names))] : []),
    ...(usage ? [extension('2.5.29.37', sequence(oid(usage)))] : []),
  ];
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tlv(0x04, value));
}

function encodeName(name: string | TestName): Buffer {
  const parts: TestName = typeof name === 'string' ? [[[commonName, name]]] : name;
  const relative = parts.map((attributes) =>
    tlv(0x31, ...attributes.map(([id, value, tag = 0x0c]) => sequence(oid(id), tlv(tag, stringBytes(value, tag))))),
  );
  return sequence(...relative);
}

/** BMPString is UTF-16 in network byte order; the other string types in tests are UTF-8 or a subset of it. */
function stringBytes(value: string, tag: number): Buffer {
  return tag === 0x1e ? Buffer.from(value, 'utf16le').swap16() : Buffer.from(value);
}

/** Returns the DER bytes of the subject, which certificates issued by it repeat as issuer. */
function subjectOf({ x509 }: TestCertificate): Buffer {
  const [content] = children(x509.raw);
  return children(content as Buffer)[5] as Buffer;
}

/** Returns the elements inside a DER element; no certificate here reaches 64 KiB. */
function children(element: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = contentAt(element, 0); at < element.length; at = endOf(element, at)) {
    found.push(element.subarray(at, endOf(element, at)));
  }
  return found;
}

function contentAt(bytes: Buffer, at: number): number {
  const first = bytes[at + 1] as number;
  return at + 2 + (first < 0x80 ? 0 : first & 0x7f);
}

function endOf(bytes: Buffer, at: number): number {
  const first = bytes[at + 1] as number;
  return contentAt(bytes, at) + (first < 0x80 ? first : bytes.readUIntBE(at + 2, first & 0x7f));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::').map((part) => part.split(':').filter(Boolean));
  const zeros = Array.from({ length: 8 - head.length - (tail?.length ?? 0) }, () => '0');
  const groups = [...head, ...zeros, ...(tail ?? [])].map((group) => group.padStart(4, '0'));
  return Buffer.from(groups.join(''), 'hex');
}

function time(date: Date): Buffer {
  return tlv(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return tlv(0x06, Buffer.from(bytes));
}

function explicit(number: number, content: Buffer): Buffer {
  return tlv(0xa0 + number, content);
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, ...parts);
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const base64Of = ({ x509 }: TestCertificate) => x509.raw.toString('base64');
const bodyOf = ({ cert }: TestCertificate) => cert.replace(/-----[^-]+-----|\n/g, '');
/** RFC 3986 reserved characters that AWS leaves as they are. */
const escapedByAws = (text: string) => encodeURIComponent(text).replace(/%2B|%3D|%2F/g, decodeURIComponent);

/** The forms in which proxies hand over a client certificate, and how each is written for a certificate and its issuer. */
export const forwardedForms: [proxy: string, write: (own: TestCertificate, issuer: TestCertificate) => string][] = [
  ['nginx $ssl_client_escaped_cert', ({ cert }) => encodeURIComponent(cert)],
  ['HAProxy %[ssl_c_der,base64]', base64Of],
  ['Apache httpd %{SSL_CLIENT_CERT}s', ({ cert }) => cert.replaceAll('\n', ' ')],
  ['nginx $ssl_client_cert, PEM with tabs', ({ cert }) => cert.trim().replaceAll('\n', '\t')],
  ['Envoy X-Forwarded-Client-Cert', (own) => `Hash=${'a'.repeat(64)};Cert="${encodeURIComponent(own.cert)}"`],
  [
    'Envoy with all of its members',
    (own, issuer) =>
      `By=spiffe://a/b;Hash=1f;Cert="${encodeURIComponent(own.cert)}";Chain="${encodeURIComponent(own.cert + issuer.cert)}";Subject="CN=\\"x\\", O=y;z";URI=`,
  ],
  ['Envoy with a chain alone', (own, issuer) => `Chain="${encodeURIComponent(own.cert + issuer.cert)}"`],
  ['Traefik', bodyOf],
  ['Traefik with a chain', (own, issuer) => `${bodyOf(own)},${bodyOf(issuer)}`],
  ['Traefik, percent-encoded', (own) => encodeURIComponent(bodyOf(own))],
  ['AWS ALB', ({ cert }) => escapedByAws(cert)],
  ['AWS ALB with a chain', (own, issuer) => escapedByAws(own.cert + issuer.cert)],
  ['RFC 9440', (own) => `:${base64Of(own)}:`],
  ['RFC 9440 with parameters', (own) => `:${base64Of(own)}:;a=1; b="x"`],
  ['RFC 9440 without padding', (own) => `:${base64Of(own).replace(/=+$/, '')}:`],
];

/** Values that name no certificate, or more than one. */
export const unreadableForms: [what: string, write: (own: TestCertificate, other: TestCertificate) => string][] = [
  ['nonsense', () => 'x'],
  ['a chain whose second certificate is not the issuer', ({ cert }, other) => encodeURIComponent(cert + other.cert)],
  ['two elements of Envoy', (own) => `Cert="${encodeURIComponent(own.cert)}",Cert="${encodeURIComponent(own.cert)}"`],
  ['an element of Envoy without a certificate', () => 'Hash=1f;Subject="CN=x"'],
  ['an unclosed quote of Envoy', (own) => `Cert="${encodeURIComponent(own.cert)}`],
  ['a certificate and more', (own) => `${encodeURIComponent(own.cert)}x`],
];
