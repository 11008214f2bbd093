import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { presentedValueOf } from '../access-keys/require-access-key.ts';
import type { Core } from '../core.ts';
import { StoreUnavailable } from '../errors.ts';
import { logAccess } from './access-log.ts';
import { type Caller, presentedSecretOf, readCredentials, recallCaller } from './client-authentication.ts';
import type { FailureLimit } from './failure-limit.ts';
import { type FastAnswer, writeFastAnswer } from './fast-path-answer.ts';
import { answerIntrospection } from './fast-path-introspection.ts';
import { isPlainForm } from './fast-path-request.ts';
import { answerToken } from './fast-path-token.ts';
import { giveHeadStart, type HeadStart } from './head-start.ts';
import { type Form, parseForm } from './read-form.ts';
import { countUse } from './record-use.ts';

type Exchange = { request: IncomingMessage; response: ServerResponse; startedAt: number; isRead: boolean };

/** What it shares with the Koa application. */
type Shared = {
  addressOf: (request: IncomingMessage) => string;
  isKnownHost: (host: string) => boolean;
  failureLimit: FailureLimit;
};

/**
 * Answers the plain, valid request for a token or an introspection, several times as fast as the Koa application can. It only ever
 * says yes: at the first thing that is out of the ordinary, and at every error, the request goes to the application, with the body that
 * was already read. It has no rules of its own but reads the form, matches credentials, issues and examines tokens, counts and logs by
 * the same functions, from the same caches and stores. Without it, nothing changes but the speed.
 */
export function createFastPath(core: Core, shared: Shared, slowPath: RequestListener): RequestListener {
  const { addressOf, isKnownHost, failureLimit } = shared;

  return (request, response) => {
    const { url } = request;
    if ((url !== '/oauth2/token' && url !== '/oauth2/introspect') || !isPlainForm(request, isKnownHost)) {
      slowPath(request, response);
      return;
    }
    const exchange = { request, response, startedAt: performance.now(), isRead: false };
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      exchange.isRead = true;
      answer(exchange, { body: textOf(chunks) }).catch((error: Error) => {
        core.log.error({ error: error.stack }, 'an answer could not be written');
        response.destroy();
      });
    });
    // A sender who has gone is no plain case either. One who goes later is noticed when there is an answer to write.
    request.on('error', () => {
      if (!exchange.isRead) slowPath(request, response);
    });
  };

  async function answer(exchange: Exchange, headStart: HeadStart): Promise<void> {
    let caller: Caller | undefined;
    let found: FastAnswer | undefined;
    try {
      const form = parseForm(headStart.body);
      caller = findCaller(exchange, form);
      found = caller && (await findAnswer(exchange, caller, form, headStart));
    } catch (error) {
      // Whoever waited for a store in vain is not to wait for it once more. All else is found again, and told, by the application.
      if (error instanceof StoreUnavailable) headStart.failure = error;
    }
    if (caller && found) finish(exchange, caller, found);
    else leave(exchange, headStart);
  }

  function findCaller({ request }: Exchange, form: Form): Caller | undefined {
    if (failureLimit.isWaiting(addressOf(request))) return undefined;
    return recallCaller(core, readCredentials(request, form));
  }

  function findAnswer(
    { request }: Exchange,
    caller: Caller,
    form: Form,
    headStart: HeadStart,
  ): FastAnswer | Promise<FastAnswer | undefined> | undefined {
    return request.url === '/oauth2/token'
      ? answerToken(core, caller, form)
      : answerIntrospection(core, caller, form, headStart);
  }

  function leave({ request, response }: Exchange, headStart: HeadStart): void {
    giveHeadStart(request, headStart);
    slowPath(request, response);
  }

  function finish({ request, response, startedAt }: Exchange, caller: Caller, answer: FastAnswer): void {
    const id = randomUUID();
    const path = request.url ?? '';
    const address = addressOf(request);
    writeFastAnswer(response, answer, caller, id);
    const source = { address, userAgent: request.headers['user-agent'] ?? '' };
    countUse(core, path, source, presentedSecretOf(caller), answer.accessKey && presentedValueOf(answer.accessKey));
    // Of what is introspected, it says so only if it is.
    const active = path === '/oauth2/introspect' ? true : undefined;
    logAccess(core, { id, method: 'POST', path, status: 200, startedAt, address, clientId: caller.clientId, active });
  }
}

function textOf(chunks: readonly Buffer[]): string {
  const [only, ...more] = chunks;
  return only && more.length === 0 ? only.toString('utf8') : Buffer.concat(chunks).toString('utf8');
}
