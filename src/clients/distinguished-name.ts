import { InvalidInput } from '../errors.ts';

/** An attribute of a name: text of any ASN.1 type, or the DER of a value that is not text. */
type Attribute = { oid: string; text: string } | { oid: string; der: string };

/**
 * Attribute types by lower-case name: RFC 4514 §3, RFC 4519, and further ones that OpenSSL and the CA/Browser Forum
 * use.
 */
const attributeTypes: Readonly<Record<string, string>> = {
  cn: '2.5.4.3',
  sn: '2.5.4.4',
  surname: '2.5.4.4',
  serialnumber: '2.5.4.5',
  c: '2.5.4.6',
  l: '2.5.4.7',
  st: '2.5.4.8',
  street: '2.5.4.9',
  o: '2.5.4.10',
  ou: '2.5.4.11',
  title: '2.5.4.12',
  businesscategory: '2.5.4.15',
  postalcode: '2.5.4.17',
  gn: '2.5.4.42',
  givenname: '2.5.4.42',
  dnqualifier: '2.5.4.46',
  pseudonym: '2.5.4.65',
  organizationidentifier: '2.5.4.97',
  uid: '0.9.2342.19200300.100.1.1',
  dc: '0.9.2342.19200300.100.1.25',
  e: '1.2.840.113549.1.9.1',
  emailaddress: '1.2.840.113549.1.9.1',
  jurisdictionl: '1.3.6.1.4.1.311.60.2.1.1',
  jurisdictionst: '1.3.6.1.4.1.311.60.2.1.2',
  jurisdictionc: '1.3.6.1.4.1.311.60.2.1.3',
};

/**
 * Parses a written name (RFC 4514) into a normal form in which equal names are equal strings: types as OIDs, text
 * without regard to case and repeated spaces (RFC 4518, RFC 5280 §7.1), the attributes of one relative name sorted.
 * @throws {InvalidInput}
 */
export function parseDistinguishedName(name: string): string {
  // The written form begins with the last relative name (RFC 4514 §2.1).
  const relative = split(name, ',').reverse();
  return comparable(relative.map((attributes) => split(attributes, '+').map(parseAttribute)));
}

/** Reads a name from a certificate into the same normal form. @param der an RDNSequence. */
export function readDistinguishedName(der: Buffer): string {
  return comparable(
    readDer(der).map(({ content: set }) =>
      readDer(set).map(({ content: attribute }) => {
        const [type, value] = readDer(attribute);
        if (!type || !value) throw new RangeError('an attribute without a value');
        return { oid: readOid(type.content), ...readValue(value) };
      }),
    ),
  );
}

function comparable(name: readonly (readonly Attribute[])[]): string {
  return JSON.stringify(
    name.map((attributes) =>
      attributes
        .map((attribute) =>
          JSON.stringify(
            'der' in attribute ? [attribute.oid, attribute.der, ''] : [attribute.oid, fold(attribute.text)],
          ),
        )
        .sort(),
    ),
  );
}

function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ');
}

/** Splits a text into characters and escaped pairs (RFC 4514 §3 `pair`). */
function pieces(text: string): string[] {
  return text.match(/\\[0-9a-f]{2}|\\.|./gisu) ?? [];
}

function split(text: string, separator: ',' | '+'): string[] {
  const parts = [''];
  for (const piece of pieces(text)) {
    if (piece === separator) parts.push('');
    else parts[parts.length - 1] += piece;
  }
  return parts;
}

function parseAttribute(text: string): Attribute {
  const [, type = '', value] = /^\s*(?:oid\.)?([\w.-]+?)\s*=(.*)$/is.exec(text) ?? [];
  const oid = /^[0-2](\.\d+)+$/.test(type) ? type : attributeTypes[type.toLowerCase()];
  if (value === undefined)
    throw new InvalidInput('The certificate subject must have the form `CN=sync,O=Example,C=DE` (RFC 4514).');
  if (!oid) throw new InvalidInput(`The name ${type} in the certificate subject is unknown. Use its OID instead.`);
  const trimmed = trimUnescaped(value);
  if (/^#([0-9a-f]{2})+$/i.test(trimmed)) return { oid, ...readWritten(Buffer.from(trimmed.slice(1), 'hex')) };
  return { oid, text: unescaped(trimmed) };
}

/** Trims spaces, except an escaped trailing one, which is part of the value. */
function trimUnescaped(value: string): string {
  const kept = pieces(value.trimStart());
  while (kept.at(-1)?.trim() === '') kept.pop();
  return kept.join('');
}

function readWritten(der: Buffer): { text: string } | { der: string } {
  try {
    const [value, ...more] = readDer(der);
    if (value && more.length === 0) return readValue(value);
  } catch {
    // Reported below.
  }
  throw new InvalidInput(
    'A value in the certificate subject that begins with # must be DER in hexadecimal (RFC 4514 §2.4).',
  );
}

function unescaped(value: string): string {
  const bytes = pieces(value).map((piece) => {
    if (/^\\[0-9a-f]{2}$/i.test(piece)) return Buffer.from(piece.slice(1), 'hex');
    if (/^\\[ "#+,;<=>\\]$/.test(piece)) return Buffer.from(piece.slice(1));
    if (/^["+,;<>\\\0]/.test(piece)) {
      throw new InvalidInput(
        'The certificate subject contains a character that must be escaped, or an invalid escape (RFC 4514 §2.4).',
      );
    }
    return Buffer.from(piece);
  });
  return Buffer.concat(bytes).toString('utf8');
}

function readValue({ tag, content, bytes }: { tag: number; content: Buffer; bytes: Buffer }) {
  switch (tag) {
    // UTF8String, NumericString, PrintableString, IA5String
    case 0x0c:
    case 0x12:
    case 0x13:
    case 0x16:
      return { text: content.toString('utf8') };
    // TeletexString, which in practice is Latin-1
    case 0x14:
      return { text: content.toString('latin1') };
    // BMPString
    case 0x1e:
      return { text: Buffer.from(content).swap16().toString('utf16le') };
    default:
      return { der: bytes.toString('hex') };
  }
}

function readOid(content: Buffer): string {
  const arcs = [0];
  for (const byte of content) {
    arcs.push((arcs.pop() ?? 0) * 128 + (byte & 0x7f));
    if (byte < 0x80) arcs.push(0);
  }
  const [first = 0, ...rest] = arcs.slice(0, -1);
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join('.');
}

/** One DER element (X.690): its tag, its content, and all its bytes. */
type DerElement = { tag: number; content: Buffer; bytes: Buffer };

/**
 * Reads consecutive DER elements of a certificate that OpenSSL has already parsed: Node gives the names in it only as
 * text for people, which cannot be compared.
 * @throws {RangeError} if an element is truncated or has a form that certificates do not use.
 */
export function readDer(bytes: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  for (let start = 0; start < bytes.length; ) {
    const tag = bytes.readUInt8(start);
    const first = bytes.readUInt8(start + 1);
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    if ((tag & 0x1f) === 0x1f || first === 0x80 || lengthBytes > 4) throw new RangeError('not DER as in certificates');
    const contentStart = start + 2 + lengthBytes;
    const end = contentStart + (lengthBytes === 0 ? first : bytes.readUIntBE(start + 2, lengthBytes));
    if (end > bytes.length) throw new RangeError('DER that is cut short');
    elements.push({ tag, content: bytes.subarray(contentStart, end), bytes: bytes.subarray(start, end) });
    start = end;
  }
  return elements;
}
