import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { presentedValueOf } from '../../access-keys/require-access-key.ts';
import type { Config } from '../../config.ts';
import type { Core } from '../../core.ts';
import { StoreUnavailable } from '../../errors.ts';
import { refusalOfNetwork } from '../../http/allowed-networks.ts';
import { countHeaders } from '../../http/normalize-request.ts';
import { strictTransport } from '../../http/response-headers.ts';
import { tokenPath } from '../../http/token-path.ts';
import { canReadPlainly, PlainRequest, writeAnswer } from '../../internals/node-http.ts';
import { createGenerations } from '../../storage/generations.ts';
import { logAccess } from '../access-log.ts';
import { retirementHeaders } from '../announce-retirement.ts';
import { type Caller, isUnchanged, presentedSecretOf, recallCaller } from '../client-authentication.ts';
import { type Form, parseForm } from '../form.ts';
import { readCredentials, usesHeaderAlone } from '../presented-secret.ts';
import { countKeyUse, countUse, instanceOf } from '../record-use.ts';
import { answerIntrospection, answerToken, type FastAnswer } from './fast-answers.ts';
import { giveHeadStart, type HeadStart, type PresentedPair } from './head-start.ts';

const maxBytes = 16 * 1024;
const maxPlainHeaders = 50;
const formTypes = new Set([
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded;charset=UTF-8',
  'application/x-www-form-urlencoded; charset=UTF-8',
  'application/x-www-form-urlencoded;charset=utf-8',
  'application/x-www-form-urlencoded; charset=utf-8',
]);

/** Minimum time that an Authorization header is cached; the maximum is twice as long. */
const generationMs = 30_000;
/** Maximum number of cached headers, about 400 bytes each. Equals the number of cached clients (client-cache.ts). */
const maxCachedHeaders = 20_000;

type Exchange = {
  request: PlainRequest;
  response: ServerResponse;
  startedAt: number;
  address: string;
  /** The name that the caller gave itself, once the body is read. */
  instance: string | undefined;
};

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
  if (!canReadPlainly) return slowPath;
  const { addressOf, isKnownHost, isOverloaded, requestIdOf } = shared;
  const recall = createHeaderMemory(core);
  const write = createFastWriter(core.config);

  return (request, response) => {
    if (!isTaken(request, isKnownHost) || isOverloaded()) {
      slowPath(request, response);
      return;
    }
    const address = addressOf(request);
    const exchange: Exchange = { request, response, startedAt: performance.now(), address, instance: undefined };
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
      const form = parseForm(headStart.body, { isTokenRequest: exchange.request.url === tokenPath });
      headStart.form = form;
      exchange.instance = instanceOf(exchange.request, form);
      caller = findCaller(exchange, form, headStart);
      const isRefused = caller && refusalOfNetwork(caller.client, exchange.address) !== undefined;
      found = caller && !isRefused ? findAnswer(exchange, caller, form, headStart) : undefined;
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
    { request, address }: Exchange,
    caller: Caller,
    form: Form,
    headStart: HeadStart,
  ): FastAnswer | Promise<FastAnswer | undefined> | undefined {
    return request.url === '/oauth2/token'
      ? answerToken(core, caller, form, address)
      : answerIntrospection(core, caller, form, headStart);
  }

  function leave({ request, response }: Exchange, headStart: HeadStart, error?: unknown): void {
    // Pass a store failure on, so that the request does not wait for the store a second time. The application finds all
    // other errors again.
    if (error instanceof StoreUnavailable) headStart.failure = error;
    giveHeadStart(request, headStart);
    slowPath(request, response);
  }

  function finish(exchange: Exchange, caller: Caller, answer: FastAnswer): void {
    const { request, response, startedAt, address, instance } = exchange;
    const id = requestIdOf(request);
    const path = request.url ?? '';
    write(response, answer, caller, id);
    const source = { address, userAgent: request.headers['user-agent'] ?? '', instance };
    countUse(
      core,
      source,
      answer.lifetimeSeconds,
      presentedSecretOf(caller),
      answer.accessKey && presentedValueOf(answer.accessKey),
    );
    countKeyUse(core, answer.keyUse);
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

/**
 * Returns whether the headers of a POST are plain: HTTP/1.1, one known Host, a form with a stated length within bounds,
 * and no header that asks for another kind of answer. Anything unknown is not plain.
 */
function isPlainForm(request: IncomingMessage, isKnownHost: (host: string) => boolean): boolean {
  const { headers, rawHeaders } = request;
  const length = Number(headers['content-length']);
  return (
    request.method === 'POST' &&
    request.httpVersion === '1.1' &&
    rawHeaders.length <= maxPlainHeaders * 2 &&
    length > 0 &&
    length <= maxBytes &&
    formTypes.has(headers['content-type'] ?? '') &&
    headers['transfer-encoding'] === undefined &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined &&
    headers.upgrade === undefined &&
    headers.origin === undefined &&
    // Leave requests for a DPoP-bound token (RFC 9449) to the application.
    headers['dpop'] === undefined &&
    // Leave requests for a signed answer (RFC 9701) to the application.
    !/jwt/i.test(headers.accept ?? '') &&
    isKnownHost(headers.host ?? '') &&
    headers['te'] === undefined &&
    countHeaders(rawHeaders, 'host') === 1 &&
    countHeaders(rawHeaders, 'content-type') === 1
  );
}

/**
 * Finds the caller of a request as `recallCaller` does, or returns the presented credentials. Clients repeat the same
 * header, so the result is cached by header until its client changes. The header itself is the key, because hashing it
 * costs more than everything else here, and an attacker who can read this memory can also read the root key. A map
 * compares strings only if their hashes, seeded randomly per process, are equal, so its timing does not reveal how
 * close a guess is.
 */
function createHeaderMemory(core: Core): (request: IncomingMessage, form: Form) => Caller | PresentedPair {
  const callers = createGenerations<string, Caller>(generationMs, maxCachedHeaders);

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

/** Writes answers with the headers of the Koa application, in the same order. */
function createFastWriter(config: Config) {
  const transport = strictTransport(config);
  const security = `X-Content-Type-Options: nosniff\r\n${transport ? `Strict-Transport-Security: ${transport}\r\n` : ''}`;
  return (response: ServerResponse, { body, accessKey }: FastAnswer, caller: Caller, id: string): void => {
    const retirement = retirementHeaders(caller, accessKey);
    const retiring = retirement ? `Deprecation: ${retirement.Deprecation}\r\nSunset: ${retirement.Sunset}\r\n` : '';
    writeAnswer(response, `X-Request-Id: ${id}\r\n${security}${retiring}${always}`, body);
  };
}

const always = 'Cache-Control: no-store\r\nContent-Type: application/json; charset=utf-8\r\nPragma: no-cache\r\n';
