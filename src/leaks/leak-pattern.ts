/**
 * Any value of ours, wherever it stands in a text. Base62 and a fixed length alone would match much else; the checksum at its end leaves
 * one false match in four billion.
 */
export const leakPattern = /kt[skao]_[0-9A-Za-z]{49}/g;
