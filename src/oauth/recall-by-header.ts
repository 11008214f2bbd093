import type { IncomingMessage } from 'node:http';
import type { Core } from '../core.ts';
import { createGenerations } from '../generations.ts';
import {
  type Caller,
  isUnchanged,
  type Presented,
  readCredentials,
  recallCaller,
  usesHeaderAlone,
} from './client-authentication.ts';
import type { Form } from './read-form.ts';

/** An Authorization header is good for this long without being read anew, and for at most twice as long. */
const generationMs = 30_000;
/** As many as clients are known at a time (client-cache.ts); about 400 bytes each. */
const maxHeaders = 20_000;

/**
 * Recalls who makes a request, as `recallCaller` does, or answers with the credentials that it came with. Clients send the same header
 * again and again, so what it was read as is remembered with it, and good for as long as nothing changes of its client. The header itself
 * is held, for to hash it takes longer than all else here; who could read this memory could read the root key. Of texts a map compares
 * only those whose hashes, seeded by chance in each process, are equal, so how long that takes says nothing about how much was guessed.
 */
export function createHeaderMemory(core: Core): (request: IncomingMessage, form: Form) => Caller | Presented {
  const callers = createGenerations<string, Caller>(generationMs, maxHeaders);

  return (request, form) => {
    const header = usesHeaderAlone(request, form) ? (request.headers.authorization ?? '') : undefined;
    const before = header === undefined ? undefined : callers.get(header);
    if (before && isNamed(form, before) && isUnchanged(core, before)) return before;
    const presented = readCredentials(request, form);
    const caller = recallCaller(core, presented);
    if (caller && header !== undefined) callers.set(header, caller);
    return caller ?? presented;
  };
}

/** A Client ID in the body besides must be the same one. */
function isNamed({ values }: Form, { clientId }: Caller): boolean {
  const named = values.get('client_id');
  return named === undefined || named === clientId;
}
