import type { Duplex } from 'node:stream';
import type { Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { canSendRaw, RawCommand, sendRaw, streamOf } from '../internals/ioredis.ts';
import { storeDeadlineMs, withDeadline } from './with-deadline.ts';

/**
 * The Redis commands that requests use.
 * @throws {StoreUnavailable} if no usable answer arrives within the time that a request waits (with-deadline.ts).
 */
export type RedisCommands = {
  set(key: string, value: Buffer, seconds: number): Promise<void>;
  get(key: string): Promise<Buffer | null>;
};

/**
 * Sends commands over an ioredis connection at a fraction of the cost of its own methods, each of which creates several
 * promises, two timers and a copy of its arguments. Commands of one event loop turn are sent in one write, and look-ups
 * of one turn in one MGET. One timer covers all commands, because they are answered in the order in which they were
 * sent.
 */
export function createRedisCommands(redis: Redis): RedisCommands {
  if (!canSendRaw) return createPlainCommands(redis);
  let corked: Duplex | undefined;
  let gathered: Lookup[] = [];
  let isWatched = false;
  let oldest: Question | undefined;
  let youngest: Question | undefined;

  function uncork(): void {
    const stream = corked;
    corked = undefined;
    stream?.uncork();
  }

  function cork(): void {
    // It is another one after each reconnection.
    corked = streamOf(redis);
    if (!corked) return;
    corked.cork();
    setImmediate(uncork);
  }

  function watch(question: Question): void {
    if (oldest && youngest) youngest.next = question;
    else oldest = question;
    youngest = question;
    if (!isWatched) setTimeout(expireLater, storeDeadlineMs);
    isWatched = true;
  }

  function forgetAnswered(): void {
    while (oldest?.isAnswered) {
      const { next } = oldest;
      // Unlink the entry: an old entry that still points to the next one would keep all later ones in memory until a
      // full garbage collection.
      oldest.next = undefined;
      oldest = next;
    }
  }

  /** Waits for immediates, so that an answer that arrived while this process was busy is still accepted. */
  function expireLater(): void {
    setImmediate(expire);
  }

  function expire(): void {
    const due = performance.now() - storeDeadlineMs;
    while (oldest && oldest.askedAt <= due) oldest.reject(new Error(`no response within ${storeDeadlineMs} ms`));
    isWatched = oldest !== undefined;
    if (oldest) setTimeout(expireLater, Math.max(1, oldest.askedAt - due));
  }

  function askForAll(): void {
    const lookups = gathered;
    gathered = [];
    const text = `*${lookups.length + 1}${bulk('mget')}${lookups.map(({ key }) => bulk(key)).join('')}\r\n`;
    ask<(Buffer | null)[]>('mget', text).then(
      (values) => {
        for (const [index, { resolve }] of lookups.entries()) resolve(values[index] ?? null);
      },
      (error: unknown) => {
        for (const { reject } of lookups) reject(error);
      },
    );
  }

  function ask<T>(name: string, text: string | Buffer): Promise<T> {
    const question = new Question(name, text, forgetAnswered);
    watch(question);
    sendRaw(redis, question);
    return question.answer as Promise<T>;
  }

  return {
    set: (key, value, seconds) => {
      if (!corked) cork();
      const before = `*5${bulk('set')}${bulk(key)}\r\n$${value.length}\r\n`;
      return ask('set', around(before, value, `${bulk('EX')}${bulk(String(seconds))}\r\n`));
    },
    get: (key) =>
      new Promise((resolve, reject) => {
        if (gathered.push({ key, resolve, reject }) === 1) setImmediate(askForAll);
      }),
  };
}

/** Sends the commands by ioredis' public methods, for a version of ioredis that takes no encoded commands. */
function createPlainCommands(redis: Redis): RedisCommands {
  const asUnavailable = (error: Error) => {
    throw error instanceof StoreUnavailable ? error : new StoreUnavailable('redis', error.message, error);
  };
  return {
    set: async (key, value, seconds) => {
      await withDeadline(redis.set(key, value, 'EX', seconds), 'redis').catch(asUnavailable);
    },
    get: (key) => withDeadline(redis.getBuffer(key), 'redis').catch(asUnavailable),
  };
}

type Lookup = { key: string; resolve: (value: Buffer | null) => void; reject: (error: unknown) => void };

/** Encodes a string as a RESP bulk string without its final line end. */
function bulk(text: string): string {
  return `\r\n$${Buffer.byteLength(text)}\r\n${text}`;
}

/** Returns a value between two texts. */
function around(before: string, value: Buffer, after: string): Buffer {
  const beforeBytes = Buffer.byteLength(before);
  const whole = Buffer.allocUnsafe(beforeBytes + value.length + after.length);
  whole.write(before, 0);
  value.copy(whole, beforeBytes);
  whole.write(after, beforeBytes + value.length, 'latin1');
  return whole;
}

class Question extends RawCommand {
  readonly answer: Promise<unknown>;
  readonly askedAt = performance.now();
  isAnswered = false;
  next: Question | undefined = undefined;
  #resolve!: (reply: unknown) => void;
  #reject!: (error: StoreUnavailable) => void;

  readonly #onAnswered: () => void;

  constructor(name: string, text: string | Buffer, onAnswered: () => void) {
    super(name, text);
    this.#onAnswered = onAnswered;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  override resolve(reply: unknown): void {
    this.isAnswered = true;
    this.#resolve(reply);
    this.#onAnswered();
  }

  override reject(error: Error): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.#onAnswered();
    this.#reject(new StoreUnavailable('redis', error.message, error));
  }
}
