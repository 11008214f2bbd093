/** A server under load. */
export type Target = {
  name: string;
  port: number;
  pid: number;
  /** Valid token requests, sent in turn. */
  tokenRequests: readonly Buffer[];
  /** Requests with a well-formed but wrong secret; empty if the server does not check secrets. */
  wrongSecretRequests: readonly Buffer[];
  /** Undefined if the server has no introspection endpoint. */
  introspectionRequest?: (token: string) => Buffer;
  stop(): Promise<void>;
};

/** Returns a form POST with HTTP Basic as HTTP/1.1 bytes. @param instance the name that the caller gives its instance. */
export function postRequest(
  port: number,
  path: string,
  form: Record<string, string>,
  [id, secret]: readonly [id: string, secret: string],
  instance?: string,
): Buffer {
  const body = new URLSearchParams(form).toString();
  const basic = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64');
  const named = instance === undefined ? '' : `Keyturn-Instance: ${instance}\r\n`;
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Basic ${basic}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\nUser-Agent: bench\r\n${named}\r\n${body}`,
  );
}
