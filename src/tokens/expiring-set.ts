import { randomInt } from 'node:crypto';

/** A set of strings that each expire, stored in about 30 bytes each. */
export type ExpiringSet = {
  readonly size: number;
  has(text: string): boolean;
  /** @param expiresAt in seconds since the epoch. If the string was added before, the later value counts. */
  add(text: string, expiresAt: number): void;
  /** Adds each line of `lines`, without creating a string for it. */
  addLines(lines: string, expiresAt: number): void;
  /** Removes expired strings from one part of the set; the next call continues with the next part. */
  prune(now: number): void;
};

const { imul } = Math;

/**
 * Number of parts. Growing and pruning copy one part at a time, so that neither delays requests, regardless of the
 * size.
 */
const parts = 256;
/** Words of 32 bits per slot: four for the fingerprint, one for the expiry. */
const wordsPerSlot = 5;
const initialSlots = 8;

type Part = { slots: number; used: number; words: Uint32Array };

/**
 * Creates a set that stores 128-bit fingerprints instead of strings, with random seeds per process. A collision is as
 * unlikely as a guessed token: the strings are hashes and random IDs that callers cannot choose.
 */
export function createExpiringSet(): ExpiringSet {
  const seeds = Array.from({ length: 4 }, () => randomInt(2 ** 32)) as [number, number, number, number];
  const all: Part[] = Array.from({ length: parts }, () => emptyPart(initialSlots));
  let size = 0;
  let nextPart = 0;
  const print = new Uint32Array(4);

  /** Computes the fingerprint of a part of `text` into `print` (cyrb128, seeded, two characters a round). */
  function fingerprint(text: string, start: number, end: number): void {
    let [a, b, c, d] = seeds;
    for (let index = start; index < end; index += 2) {
      const code = text.charCodeAt(index) | ((index + 1 < end ? text.charCodeAt(index + 1) : 0) << 16);
      a = b ^ imul(a ^ code, 597_399_067);
      b = c ^ imul(b ^ code, 2_869_860_233);
      c = d ^ imul(c ^ code, 951_274_213);
      d = a ^ imul(d ^ code, 2_716_044_179);
    }
    a = imul(c ^ (a >>> 18), 597_399_067);
    b = imul(d ^ (b >>> 22), 2_869_860_233);
    c = imul(a ^ (c >>> 17), 951_274_213);
    d = imul(b ^ (d >>> 19), 2_716_044_179);
    print[0] = a ^ b ^ c ^ d;
    print[1] = b;
    print[2] = c;
    print[3] = d;
  }

  function rebuild(index: number, slots: number, now: number): Part {
    const before = all[index] as Part;
    const after = emptyPart(slots);
    for (let at = 0; at < before.words.length; at += wordsPerSlot) {
      const expiresAt = before.words[at + 4] as number;
      if (expiresAt === 0 || expiresAt < now) continue;
      const slot = findSlot(after, before.words, at);
      copyWords(before.words, at, after.words, slot, wordsPerSlot);
      after.used += 1;
    }
    size += after.used - before.used;
    all[index] = after;
    return after;
  }

  function addPart(text: string, start: number, end: number, expiresAt: number): void {
    fingerprint(text, start, end);
    const index = (print[0] as number) % parts;
    let part = all[index] as Part;
    if ((part.used + 1) * 3 > part.slots * 2) part = rebuild(index, part.slots * 2, 0);
    const slot = findSlot(part, print, 0);
    if (part.words[slot + 4] === 0) {
      copyWords(print, 0, part.words, slot, print.length);
      part.used += 1;
      size += 1;
    }
    part.words[slot + 4] = Math.max(part.words[slot + 4] as number, expiresAt);
  }

  return {
    get size() {
      return size;
    },
    has: (text) => {
      if (size === 0) return false;
      fingerprint(text, 0, text.length);
      const part = all[(print[0] as number) % parts] as Part;
      return part.words[findSlot(part, print, 0) + 4] !== 0;
    },
    add: (text, expiresAt) => addPart(text, 0, text.length, expiresAt),
    addLines: (lines, expiresAt) => {
      for (let start = 0; start < lines.length; ) {
        const newline = lines.indexOf('\n', start);
        const end = newline === -1 ? lines.length : newline;
        addPart(lines, start, end, expiresAt);
        start = end + 1;
      }
    },
    prune: (now) => {
      const { words } = all[nextPart] as Part;
      let left = 0;
      for (let at = 4; at < words.length; at += wordsPerSlot) if ((words[at] as number) >= Math.max(now, 1)) left += 1;
      if (left < (all[nextPart] as Part).used) {
        let slots = initialSlots;
        while ((left + 1) * 3 > slots * 2) slots *= 2;
        rebuild(nextPart, slots, now);
      }
      nextPart = (nextPart + 1) % parts;
    },
  };
}

/** Copies a few words, faster than `set` with a subarray, which would be an object for each. */
function copyWords(from: Uint32Array, at: number, to: Uint32Array, toAt: number, count: number): void {
  for (let index = 0; index < count; index += 1) to[toAt + index] = from[at + index] as number;
}

function emptyPart(slots: number): Part {
  return { slots, used: 0, words: new Uint32Array(slots * wordsPerSlot) };
}

/** Returns the index of the first word of the slot that holds a fingerprint, or of the empty slot for it. */
function findSlot({ slots, words }: Part, print: Uint32Array, from: number): number {
  let slot = ((print[from + 1] as number) % slots) * wordsPerSlot;
  while (
    words[slot + 4] !== 0 &&
    (words[slot] !== print[from] ||
      words[slot + 1] !== print[from + 1] ||
      words[slot + 2] !== print[from + 2] ||
      words[slot + 3] !== print[from + 3])
  ) {
    slot = slot + wordsPerSlot === words.length ? 0 : slot + wordsPerSlot;
  }
  return slot;
}
