import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A receiver of the audit log. */
export type AuditStreamTarget = {
  /** Identifies its position in the log. */
  name: string;
  kind: 'https' | 'otlp' | 'syslog';
  /** An http or https URL, or `tls:` with a host and a port for syslog. */
  url: string;
  headers: Readonly<Record<string, string>>;
  /** CAs in PEM that its certificate is verified with; undefined for those that Node.js trusts. */
  ca: string | undefined;
  /** Certificate and key in PEM that Keyturn shows to a syslog receiver. */
  certificate: { cert: string; key: string } | undefined;
};

const targetSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'must have 1 to 40 of a-z, 0-9 and -'),
  url: z.string().max(2_000),
  headers: z.record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\x20-\x7e]*$/)).optional(),
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
});

const targetsSchema = z.array(targetSchema).max(10);
type Given = z.output<typeof targetSchema>;

const kinds = { 'https:': 'https', 'http:': 'https', 'otlp+https:': 'otlp', 'otlp+http:': 'otlp' } as const;

/**
 * Reads `KEYTURN_AUDIT_STREAMS`: a JSON array of targets.
 * @param secret reads a variable that can also name a file. @param problems receives what is wrong, without any value.
 */
export function readAuditStreams(
  secret: (name: string) => string | undefined,
  problems: string[],
): readonly AuditStreamTarget[] {
  const text = secret('KEYTURN_AUDIT_STREAMS');
  if (text === undefined) return [];
  try {
    const targets = targetsSchema.parse(JSON.parse(text)).map(readTarget);
    if (new Set(targets.map(({ name }) => name)).size < targets.length) throw new Error('two targets have one name');
    return targets;
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const problem = issue ? `${issue.path.join('.')}: ${issue.message}` : (error as Error).message;
    // The message of a JSON parser can quote the text, which contains credentials.
    const said = error instanceof SyntaxError ? 'it is not JSON' : problem;
    problems.push(`KEYTURN_AUDIT_STREAMS must be a JSON array of targets with name and url; ${said}`);
    return [];
  }
}

function readTarget({ name, url: text, headers = {}, ca, cert, key }: Given): AuditStreamTarget {
  const url = URL.parse(text);
  const isLocal = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(new URL(`http://${url.host}`).hostname);
  const kind = url && (url.protocol === 'syslog+tls:' ? 'syslog' : kinds[url.protocol as keyof typeof kinds]);
  if (!url || !kind || url.username || url.hash) {
    throw new Error(`${name}: the url must begin with https://, otlp+https:// or syslog+tls://, without credentials`);
  }
  if (/http:$/.test(url.protocol) && !isLocal) throw new Error(`${name}: a plain http url must be of this machine`);
  if ((cert === undefined) !== (key === undefined)) throw new Error(`${name}: cert and key are needed together`);
  if (cert !== undefined && kind !== 'syslog') throw new Error(`${name}: only syslog takes a cert`);
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      // The message of the error has the path, in whose place people also write the key itself.
      throw new Error(`${name}: ca, cert and key must name files (${(error as NodeJS.ErrnoException).code})`);
    }
  };
  return {
    name,
    kind,
    url:
      kind === 'syslog' ? `tls://${url.hostname}:${url.port || '6514'}` : addressOf(text.replace(/^otlp\+/, ''), kind),
    headers,
    ca: ca && read(ca),
    certificate: cert && key ? { cert: read(cert), key: read(key) } : undefined,
  };
}

/** Adds the path of OTLP logs if the URL has none, as OpenTelemetry's own variables do. */
function addressOf(url: string, kind: 'https' | 'otlp'): string {
  const { origin, pathname, search } = new URL(url);
  return kind === 'otlp' && pathname === '/' ? `${origin}/v1/logs` : `${origin}${pathname}${search}`;
}
