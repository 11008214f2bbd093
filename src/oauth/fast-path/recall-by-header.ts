import type { IncomingMessage } from 'node:http';
import type { Core } from '../../core.ts';
import { createGenerations } from '../../storage/generations.ts';
import { type Caller, isUnchanged, readCredentials, recallCaller, usesHeaderAlone } from '../client-authentication.ts';
import type { Form } from '../parse-form.ts';
import type { PresentedPair } from './head-start.ts';

/** Minimum time that an Authorization header is cached; the maximum is twice as long. */
const generationMs = 30_000;
/** Maximum number of cached headers, about 400 bytes each. Equals the number of cached clients (client-cache.ts). */
const maxHeaders = 20_000;

/**
 * Finds the caller of a request as `recallCaller` does, or returns the presented credentials. Clients repeat the same
 * header, so the result is cached by header until its client changes. The header itself is the key, because hashing it
 * costs more than everything else here, and an attacker who can read this memory can also read the root key. A map
 * compares strings only if their hashes, seeded randomly per process, are equal, so its timing does not reveal how
 * close a guess is.
 */
export function createHeaderMemory(core: Core): (request: IncomingMessage, form: Form) => Caller | PresentedPair {
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

/** Returns whether a Client ID in the body, if any, is that of the caller. */
function isNamed({ values }: Form, { clientId }: Caller): boolean {
  const named = values.get('client_id');
  return named === undefined || named === clientId;
}
