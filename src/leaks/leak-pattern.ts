/**
 * Matches any credential that Keyturn generates, anywhere in a text. Base62 and a fixed length alone would match many
 * other texts; checking the checksum at the end leaves one false match in four billion.
 */
export const leakPattern = /kt[skao]_[0-9A-Za-z]{49}/g;
