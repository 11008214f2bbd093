/** A server under load. */
export type Target = {
  name: string;
  port: number;
  pid: number;
  /** Valid requests for a token, to be sent in turn. */
  tokenRequests: readonly Buffer[];
  /** Requests whose secret is well-formed and wrong; none: the server does not look at secrets. */
  wrongSecretRequests: readonly Buffer[];
  /** Undefined: it has no introspection. */
  introspectionRequest?: (token: string) => Buffer;
  stop(): Promise<void>;
};

/** A form posted with HTTP Basic, as bytes of HTTP/1.1. */
export function postRequest(
  port: number,
  path: string,
  form: Record<string, string>,
  [id, secret]: readonly [id: string, secret: string],
): Buffer {
  const body = new URLSearchParams(form).toString();
  const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Basic ${basic}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\nUser-Agent: bench\r\n\r\n${body}`,
  );
}
