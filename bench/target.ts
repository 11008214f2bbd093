/** A server under load. */
export type Target = {
  name: string;
  port: number;
  pid: number;
  /** Valid token requests, sent in turn. */
  tokenRequests: readonly Buffer[];
  /** Token requests with the token of a workload in place of a secret; undefined if the server accepts none. */
  workloadRequests?: readonly Buffer[];
  /** Token requests for a JWT; undefined if the server issues none. */
  jwtRequests?: readonly Buffer[];
  /** Returns a token request with a new assertion in place of a secret; undefined if the server accepts none. */
  assertionRequest?: () => Buffer;
  /** Returns a maker of token requests with a new proof of possession each; undefined if the server accepts none. */
  startProofs?: () => Promise<() => Buffer>;
  /** Access keys that stand alone, which are introspected as tokens are. */
  standaloneKeys?: readonly string[];
  /** Requests with a well-formed but wrong secret; empty if the server does not check secrets. */
  wrongSecretRequests: readonly Buffer[];
  /** Undefined if the server has no introspection endpoint. */
  introspectionRequest?: (token: string) => Buffer;
  /** Introspections of JWTs; undefined if the server issues none. */
  jwtIntrospectionRequest?: (token: string) => Buffer;
  stop(): Promise<void>;
};

/**
 * Returns a form POST as HTTP/1.1 bytes.
 * @param credentials for HTTP Basic, if any. @param headers further headers.
 */
export function postRequest(
  port: number,
  path: string,
  form: Record<string, string>,
  credentials: readonly [id: string, secret: string] | undefined,
  headers: Record<string, string> = {},
): Buffer {
  const body = new URLSearchParams(form).toString();
  const basic = credentials && Buffer.from(credentials.map(encodeURIComponent).join(':')).toString('base64');
  const authorization = basic === undefined ? '' : `Authorization: Basic ${basic}\r\n`;
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${authorization}` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\nUser-Agent: bench\r\n${more.join('')}\r\n${body}`,
  );
}
