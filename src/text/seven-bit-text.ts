/** Packs ASCII text without NUL characters into seven bits per character. Returns undefined for other text. */
export function packAscii(text: string): Buffer | undefined {
  const packed = Buffer.alloc(Math.ceil((text.length * 7) / 8));
  for (let at = 0, bits = 0, held = 0, out = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0 || code > 127) return undefined;
    held = ((held << 7) | code) & 0x7fff;
    bits += 7;
    if (bits >= 8) {
      bits -= 8;
      packed[out++] = (held >> bits) & 255;
    }
    if (at === text.length - 1 && bits > 0) packed[out] = (held << (8 - bits)) & 255;
  }
  return packed;
}

/** Reverses `packAscii`. */
export function unpackAscii(packed: Buffer): string {
  const codes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const byte of packed) {
    held = ((held << 8) | byte) & 0x7fff;
    bits += 8;
    while (bits >= 7) {
      bits -= 7;
      const code = (held >> bits) & 127;
      // The last byte may have seven unused bits, which are zero.
      if (code !== 0) codes.push(code);
    }
  }
  return String.fromCharCode(...codes);
}
