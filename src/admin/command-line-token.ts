import { createHash } from 'node:crypto';
import type { Context, Next } from 'koa';
import { reachOf } from '../contacts/contact.ts';
import { findContact } from '../contacts/contact-store.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { readBody } from '../http/read-body.ts';
import { takeAttempt } from '../identity-providers/sign-in-attempt-store.ts';
import { issueBoundedToken } from '../operator-tokens/manage-bounded-tokens.ts';
import { findPersonOfSession } from '../sessions/session-store.ts';
import { createAttemptLimit } from './operator-auth.ts';
import { bodyCodes } from './respond-with-error.ts';

/** Stands for the provider in a sign-in that a command line has begun. */
export const commandLine = 'command-line';

const lifeMs = 12 * 3_600_000;
const maxBytes = 4 * 1024;

/**
 * Serves `POST /command-line/token`, at which `keyturn login` exchanges the code of the console's page for an operator
 * token of 12 hours, with its PKCE verifier (RFC 7636). The token ends with the person's sessions at their identity
 * provider.
 */
export function serveCommandLineToken(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createAttemptLimit(core.config.failuresPerMinute);

  async function exchange(form: URLSearchParams, address: string): Promise<string> {
    const hash = (value: string) => createHash('sha256').update(value).digest();
    const id = hash(form.get('code') ?? '');
    const attempt = await takeAttempt(core, id, commandLine, core.clock());
    const challenge = hash(form.get('code_verifier') ?? '').toString('base64url');
    if (!attempt?.kept || !attempt.session || attempt.next !== challenge) throw invalidCode();
    const { contact: contactId, name } = JSON.parse(attempt.kept) as { contact: string; name: string };
    // The session must not have ended meanwhile, as after "sign out everywhere".
    const person = await findPersonOfSession(core.database, attempt.session, new Date(core.clock()));
    const contact = person && (await findContact(core.database, contactId));
    if (!contact) throw invalidCode();
    const grantor = { ...contact, organizationId: reachOf(contact), address };
    const { plaintext } = await core.change((transaction) =>
      issueBoundedToken(transaction, core, grantor, {
        contactId,
        name: name ? `keyturn login on ${name}` : 'keyturn login',
        expiresAt: new Date(core.clock() + lifeMs),
        person: person.provider === null ? undefined : person,
      }),
    );
    return plaintext;
  }

  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.method !== 'POST' || ctx.path !== '/command-line/token') return await next();
    const address = addressOf(ctx.req);
    const body = await readBody(ctx.req, {
      mediaType: 'application/x-www-form-urlencoded',
      maxBytes,
      isTypeCheckedIfEmpty: true,
      codes: bodyCodes,
    });
    const form = new URLSearchParams(body.toString('utf8'));
    ctx.body = { operator_token: await limited(address, () => exchange(form, address)) };
  };
}

function invalidCode(): KeyturnError {
  return new KeyturnError('unauthenticated', 401, 'The code is not valid. Run `keyturn login` again.');
}
