/** One DER element (X.690): its tag, its content, and all its bytes. */
export type DerElement = { tag: number; content: Buffer; bytes: Buffer };

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
