import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { presentedValueOf } from '../../access-keys/require-access-key.ts';
import type { Core } from '../../core.ts';
import { StoreUnavailable } from '../../errors.ts';
import { logAccess } from '../access-log.ts';
import { type Caller, presentedSecretOf } from '../client-authentication.ts';
import { type Form, parseForm } from '../parse-form.ts';
import { countUse } from '../record-use.ts';
import { createFastWriter, type FastAnswer } from './fast-path-answer.ts';
import { answerIntrospection } from './fast-path-introspection.ts';
import { isPlainForm } from './fast-path-request.ts';
import { answerToken } from './fast-path-token.ts';
import type { HeadStart } from './head-start.ts';
import { PlainRequest } from './plain-exchange.ts';
import { createHeaderMemory } from './recall-by-header.ts';

type Exchange = { request: PlainRequest; response: ServerResponse; startedAt: number; address: string };

/** Functions that the fast path shares with the Koa application. */
type Shared = {
  addressOf: (request: IncomingMessage) => string;
  isKnownHost: (host: string) => boolean;
  isOverloaded: () => boolean;
  requestIdOf: (request: IncomingMessage) => string;
};

/**
 * Answers plain, valid requests for a token or an introspection, several times as fast as the Koa application. It sends
 * successful answers only: unusual requests and errors are left to the application, together with the body that was
 * read. It has no rules of its own and calls the same functions on the same caches and stores; disabling it changes
 * only the speed.
 */
export function createFastPath(core: Core, shared: Shared, slowPath: RequestListener): RequestListener {
  const { addressOf, isKnownHost, isOverloaded, requestIdOf } = shared;
  const recall = createHeaderMemory(core);
  const writeAnswer = createFastWriter(core.config);

  return (request, response) => {
    if (!isTaken(request, isKnownHost) || isOverloaded()) {
      slowPath(request, response);
      return;
    }
    const exchange = { request, response, startedAt: performance.now(), address: addressOf(request) };
    let isRead = false;
    const take = (body: string) => {
      isRead = true;
      answer(exchange, { body });
    };
    request.takeBody(core.tracing?.bind(take) ?? take);
    // A sender that disconnects early is left to the application. A later disconnection is noticed when the answer is
    // written.
    request.on('error', () => {
      if (!isRead) slowPath(request, response);
    });
  };

  function answer(exchange: Exchange, headStart: HeadStart): void {
    let caller: Caller | undefined;
    let found: FastAnswer | Promise<FastAnswer | undefined> | undefined;
    try {
      const form = parseForm(headStart.body);
      headStart.form = form;
      caller = findCaller(exchange, form, headStart);
      found = caller && findAnswer(exchange, caller, form, headStart);
    } catch (error) {
      leave(exchange, headStart, error);
      return;
    }
    if (!caller || !found) leave(exchange, headStart);
    else if (found instanceof Promise) answerLater(exchange, headStart, caller, found);
    else finish(exchange, caller, found);
  }

  function answerLater(
    exchange: Exchange,
    headStart: HeadStart,
    caller: Caller,
    coming: Promise<FastAnswer | undefined>,
  ): void {
    coming.then(
      (found) => {
        if (found) finish(exchange, caller, found);
        else leave(exchange, headStart);
      },
      (error: unknown) => leave(exchange, headStart, error),
    );
  }

  function findCaller({ request }: Exchange, form: Form, headStart: HeadStart): Caller | undefined {
    const found = recall(request, form);
    if ('client' in found) return found;
    headStart.presented = found;
    return undefined;
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

  function leave({ request, response }: Exchange, headStart: HeadStart, error?: unknown): void {
    // Pass a store failure on, so that the request does not wait for the store a second time. The application finds all
    // other errors again.
    if (error instanceof StoreUnavailable) headStart.failure = error;
    request.headStart = headStart;
    slowPath(request, response);
  }

  function finish({ request, response, startedAt, address }: Exchange, caller: Caller, answer: FastAnswer): void {
    const id = requestIdOf(request);
    const path = request.url ?? '';
    writeAnswer(response, answer, caller, id);
    const source = { address, userAgent: request.headers['user-agent'] ?? '' };
    countUse(core, path, source, presentedSecretOf(caller), answer.accessKey && presentedValueOf(answer.accessKey));
    // The fast path answers an introspection only if the token is active.
    const active = path === '/oauth2/introspect' ? true : undefined;
    logAccess(core, { id, method: 'POST', path, status: 200, startedAt, address, clientId: caller.clientId, active });
  }
}

function isTaken(request: IncomingMessage, isKnownHost: (host: string) => boolean): request is PlainRequest {
  const { url } = request;
  if (url !== '/oauth2/token' && url !== '/oauth2/introspect') return false;
  return request instanceof PlainRequest && isPlainForm(request, isKnownHost);
}
