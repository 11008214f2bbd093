/**
 * Error with two texts: `message` may be shown to the caller, `detail` is only logged. Each listener converts it to its
 * own protocol's error format (RFC 6749 §5.2 or RFC 9457).
 */
export class KeyturnError extends Error {
  readonly code: string;
  readonly status: number;
  readonly detail: string | undefined;
  /** Further members of an RFC 9457 problem, for example the review in a 428 response. */
  readonly extension: Record<string, unknown> | undefined;

  constructor(
    code: string,
    status: number,
    message: string,
    options: { detail?: string; cause?: unknown; extension?: Record<string, unknown> } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.detail = options.detail;
    this.extension = options.extension;
  }
}

/** A store cannot be reached or did not respond in time. Must never be interpreted as a negative answer. */
export class StoreUnavailable extends KeyturnError {
  constructor(store: 'database' | 'redis', detail: string, cause?: unknown) {
    super(
      'temporarily_unavailable',
      503,
      `Service unavailable: ${store === 'redis' ? 'Redis' : 'the database'} cannot be reached. Try again shortly.`,
      {
        detail: `${store}: ${detail}`,
        cause,
      },
    );
  }
}

export class NotFound extends KeyturnError {
  constructor(noun: string) {
    super('not_found', 404, `${noun.charAt(0).toUpperCase()}${noun.slice(1)} not found.`);
  }
}

/** The request is well-formed, but the state of its target does not allow it. */
export class Conflict extends KeyturnError {
  constructor(code: string, message: string, extension?: Record<string, unknown>) {
    super(code, 409, message, extension ? { extension } : {});
  }
}

export class InvalidInput extends KeyturnError {
  constructor(message: string, issues?: readonly { path: string; message: string }[]) {
    super('invalid_request', 400, message, issues ? { extension: { issues } } : {});
  }
}

/**
 * Returns the error for one invalid field.
 * @param path of the field in the request, such as `grants.0.value`.
 * @param message what is wrong with it, without a full stop.
 */
export function invalidField(path: string, message: string): InvalidInput {
  return new InvalidInput(`${path}: ${message}.`, [{ path, message }]);
}

/**
 * A token request names a scope or a resource that its client cannot get. The answer does not say which rule decided,
 * but the operator may know.
 */
export class RefusedByRule extends KeyturnError {
  readonly rule:
    | 'unknown_scope'
    | 'scope_not_granted'
    | 'scope_not_of_access_key'
    | 'scope_of_other_resource'
    | 'unknown_resource'
    | 'resource_disabled'
    | 'several_resources';
  /** The scope or the resource. */
  readonly value: string;

  constructor(
    code: 'invalid_scope' | 'invalid_target',
    message: string,
    decided: { rule: RefusedByRule['rule']; value: string },
  ) {
    super(code, 400, message);
    this.rule = decided.rule;
    this.value = decided.value;
  }
}

export class Forbidden extends KeyturnError {
  constructor(message: string) {
    super('forbidden', 403, message);
  }
}

/** A limit was exceeded. The presenters of both listeners send Retry-After. */
export class TooManyRequests extends KeyturnError {
  readonly retryAfterSeconds: number;

  constructor(message: string, retryAfterSeconds: number) {
    super('too_many_requests', 429, message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The configuration, the command or the environment is unusable. The message says what to do. */
export class UsageError extends KeyturnError {
  constructor(message: string) {
    super('usage', 400, message);
  }
}

/** @param expected undefined accepts any revision. @throws {KeyturnError} 412 `precondition_failed` */
export function requireRevision(revision: number, expected: readonly number[] | undefined): void {
  if (expected && !expected.includes(revision)) {
    throw new KeyturnError(
      'precondition_failed',
      412,
      'Changed by someone else since you loaded it. Reload and try again.',
    );
  }
}
