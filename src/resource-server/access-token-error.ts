/** RFC 6750 §3.1, and what a resource server says when it cannot know. */
export type AccessTokenErrorCode =
  | 'missing_token'
  | 'invalid_request'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'temporarily_unavailable';

const statuses: Record<AccessTokenErrorCode, number> = {
  missing_token: 401,
  invalid_request: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  temporarily_unavailable: 503,
};

/** Why a request is refused, with all that its answer needs. */
export class AccessTokenError extends Error {
  readonly code: AccessTokenErrorCode;
  /** 400, 401, 403 or 503. */
  readonly status: number;
  /** The scopes that were lacking, with `insufficient_scope`. */
  readonly scope: readonly string[];
  /** Where the resource server's own metadata is (RFC 9728 §5.1). */
  readonly resourceMetadata: string | undefined;

  constructor(
    code: AccessTokenErrorCode,
    message: string,
    options: { scope?: readonly string[]; resourceMetadata?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'AccessTokenError';
    this.code = code;
    this.status = statuses[code];
    this.scope = options.scope ?? [];
    this.resourceMetadata = options.resourceMetadata;
  }

  /** The headers of the answer: `WWW-Authenticate` (RFC 6750 §3), or `Retry-After`. */
  get headers(): Record<string, string> {
    if (this.status === 503) return { 'Retry-After': '1', 'Cache-Control': 'no-store' };
    // RFC 6750 §3.1: a request without a token is told how to authenticate, not what is wrong.
    const parameters =
      this.code === 'missing_token'
        ? []
        : [
            ['error', this.code],
            ['error_description', this.message],
          ];
    if (this.scope.length > 0) parameters.push(['scope', this.scope.join(' ')]);
    if (this.resourceMetadata) parameters.push(['resource_metadata', this.resourceMetadata]);
    const list = parameters.map(([name, value]) => `${name}="${value}"`).join(', ');
    return { 'WWW-Authenticate': list ? `Bearer ${list}` : 'Bearer', 'Cache-Control': 'no-store' };
  }

  /** The JSON body of the answer. */
  get body(): { error: string; error_description: string } {
    return { error: this.code === 'missing_token' ? 'invalid_token' : this.code, error_description: this.message };
  }
}
