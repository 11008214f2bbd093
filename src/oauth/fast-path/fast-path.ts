import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { presentedValueOf } from '../../access-keys/require-access-key.ts';
import type { Core } from '../../core.ts';
import { type KeyturnError, StoreUnavailable, TooManyRequests } from '../../errors.ts';
import { refusalOfNetwork } from '../../http/allowed-networks.ts';
import { countHeaders } from '../../http/normalize-request.ts';
import { tokenPath } from '../../http/token-path.ts';
import { canReadPlainly, PlainRequest } from '../../internals/node-http.ts';
import { createGenerations } from '../../storage/generations.ts';
import { logAccess } from '../access-log.ts';
import { retirementHeaders } from '../announce-retirement.ts';
import {
  type Caller,
  isUnchanged,
  presentedSecretOf,
  recallCaller,
  verifyCredentials,
} from '../client-authentication.ts';
import { countFailedAttempt } from '../failure-limit.ts';
import type { FirstUses } from '../first-use.ts';
import { type Form, parseForm } from '../form.ts';
import { codeOf, InvalidClient, presentOAuthError } from '../oauth-error.ts';
import { readCredentials, usesHeaderAlone } from '../presented-secret.ts';
import { countInvalidClient, countKeyUse, countUse, instanceOf, rejectionBy } from '../record-use.ts';
import { answerIntrospection, answerToken, type FastAnswer } from './fast-answers.ts';
import { giveHeadStart, type HeadStart, type PresentedPair } from './head-start.ts';
import { createFastWriter, ofSuccess, PlainErrorAnswer } from './write-fast-answer.ts';

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
  firstUses: FirstUses;
};

/**
 * Answers plain requests for a token or an introspection, several times as fast as the Koa application: valid ones, those
 * with wrong credentials, and those for a token that is not active. Unusual requests and all other errors are left to the
 * application, together with the body that was read. It has no rules of its own and calls the same functions on the same
 * caches and stores; disabling it changes only the speed.
 */
export function createFastPath(core: Core, shared: Shared, slowPath: RequestListener): RequestListener {
  if (!canReadPlainly) return slowPath;
  const { addressOf, isKnownHost, isOverloaded, requestIdOf, firstUses } = shared;
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
    let form: Form;
    let presented: Caller | PresentedPair;
    try {
      form = parseForm(headStart.body, { isTokenRequest: exchange.request.url === tokenPath });
      headStart.form = form;
      exchange.instance = instanceOf(exchange.request, form);
      presented = recall(exchange.request, form);
    } catch (error) {
      leave(exchange, headStart, error);
      return;
    }
    if ('client' in presented) {
      answerCaller(exchange, headStart, form, presented);
      return;
    }
    verifyCredentials(core, presented, firstUses, exchange.address).then(
      (caller) => answerCaller(exchange, headStart, form, caller),
      (error: unknown) => {
        if (error instanceof InvalidClient) reject(exchange, error);
        else leave(exchange, { ...headStart, authenticationError: error });
      },
    );
  }

  function answerCaller(exchange: Exchange, headStart: HeadStart, form: Form, caller: Caller): void {
    let found: FastAnswer | Promise<FastAnswer | undefined> | undefined;
    try {
      const isRefused = refusalOfNetwork(caller.client, exchange.address) !== undefined;
      found = isRefused ? undefined : findAnswer(exchange, caller, form);
    } catch (error) {
      leave(exchange, headStart, error);
      return;
    }
    if (!found) leave(exchange, headStart);
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

  function findAnswer(
    { request, address }: Exchange,
    caller: Caller,
    form: Form,
  ): FastAnswer | Promise<FastAnswer | undefined> | undefined {
    return request.url === '/oauth2/token'
      ? answerToken(core, caller, form, address)
      : answerIntrospection(core, caller, form);
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
    const retirement = retirementHeaders(caller, answer.accessKey);
    const retiring = retirement ? `Deprecation: ${retirement.Deprecation}\r\nSunset: ${retirement.Sunset}\r\n` : '';
    write(response, id, { status: 200, headers: `${retiring}${ofSuccess}`, body: answer.body });
    const source = { address, userAgent: request.headers['user-agent'] ?? '', instance };
    countUse(
      core,
      source,
      answer.lifetimeSeconds,
      presentedSecretOf(caller),
      answer.accessKey && presentedValueOf(answer.accessKey),
    );
    countKeyUse(core, answer.keyUse);
    const { rejection } = answer;
    const active = path === '/oauth2/introspect' ? rejection === undefined : undefined;
    logAccess(core, { id, method: 'POST', path, status: 200, startedAt, address, clientId: caller.clientId, active });
    if (rejection) core.usage.rejected({ id, at: new Date(core.clock()), path, status: 200, code: null, ...rejection });
  }

  /** Rejects a request whose client could not be authenticated. */
  function reject({ request, response, startedAt, address, instance }: Exchange, failure: InvalidClient): void {
    const id = requestIdOf(request);
    const path = request.url ?? '';
    countInvalidClient(core.usage, { address, userAgent: request.headers['user-agent'] ?? '', instance }, failure);
    const error = limitFailure(failure, address);
    const answer = new PlainErrorAnswer(path);
    presentOAuthError(answer, error, { issuer: core.config.issuer, log: core.log });
    const { status, headers, body } = answer;
    write(response, id, { status, headers, body: JSON.stringify(body) });
    const code = codeOf(error);
    logAccess(core, { id, method: 'POST', path, status, startedAt, address, clientId: undefined, reason: code });
    const rejection = rejectionBy(error, null, null);
    core.usage.rejected({ id, at: new Date(core.clock()), path, status, code, ...rejection });
  }

  /** Returns the error to answer with: the failure, or that there were too many. */
  function limitFailure(failure: InvalidClient, address: string): KeyturnError {
    try {
      if (!failure.isCounted) countFailedAttempt(core.failureRate, address);
      return failure;
    } catch (error) {
      if (error instanceof TooManyRequests) return error;
      throw error;
    }
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
