import type { Duplex } from 'node:stream';
import { Command, type Redis } from 'ioredis';

/** Returns the connection's current socket, or undefined if there is none or ioredis does not give it. */
export function streamOf(redis: Redis): Duplex | undefined {
  return (redis as unknown as { stream?: Duplex }).stream;
}

/**
 * A command that is already encoded. It has the members of ioredis' own commands that ioredis uses to send a command
 * and to hand over its reply, and needs no promise or timer of ioredis.
 */
export abstract class RawCommand {
  readonly name: string;
  /** Skips diagnostics_channel, which would cost another promise. */
  readonly isTraced = true;
  /** Empty, because ioredis adds it to the error of a failed reply, which may be logged. */
  readonly args: readonly string[] = [];
  readonly #text: string | Buffer;

  /** @param text the command in RESP. */
  constructor(name: string, text: string | Buffer) {
    this.name = name;
    this.#text = text;
  }

  abstract resolve(reply: unknown): void;

  abstract reject(error: Error): void;

  toWritable(): string | Buffer {
    return this.#text;
  }

  setReplyContext(): void {}

  setTimeout(): void {}
}

/** Whether ioredis' own commands still have the members that RawCommand stands for. */
export const canSendRaw = [
  'name',
  'args',
  'isTraced',
  'resolve',
  'reject',
  'toWritable',
  'setReplyContext',
  'setTimeout',
].every((member) => member in new Command('get', ['key']));

/** Sends an encoded command. Use it only if `canSendRaw`. */
export function sendRaw(redis: Redis, command: RawCommand): void {
  redis.sendCommand(command as unknown as Command);
}
