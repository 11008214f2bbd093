import { connect, type TLSSocket } from 'node:tls';
import type { AuditStreamTarget } from '../configuration/audit-streams.ts';
import { fetchOutside } from '../http/outside-fetch.ts';
import type { StreamRecord } from './stream-records.ts';

const timeoutMs = 30_000;

type Batch = { records: readonly StreamRecord[]; hostname: string; now: Date };

/**
 * Sends a batch of the audit log, and resolves when the target has accepted all of it.
 * @throws {Error} if that is not known.
 */
export async function sendToStream(target: AuditStreamTarget, batch: Batch, signal: AbortSignal): Promise<void> {
  if (target.kind === 'syslog') return await sendToSyslog(target, batch, signal);
  const isOtlp = target.kind === 'otlp';
  const body = isOtlp ? otlpBody(batch) : batch.records.map(({ json }) => `${json}\n`).join('');
  const headers = {
    ...target.headers,
    'Content-Type': isOtlp ? 'application/json' : 'application/x-ndjson',
    'Content-Length': String(Buffer.byteLength(body)),
    'User-Agent': 'Keyturn',
  };
  const { status, text } = await fetchOutside(
    target.url,
    { method: 'POST', headers, body },
    {
      // The operator of the deployment has chosen the URL, and http only for this machine.
      isAllowed: () => true,
      allowPlain: true,
      timeoutMs,
      readsBody: isOtlp,
      signal,
      ...(target.ca === undefined ? {} : { ca: target.ca }),
    },
  );
  if (status < 200 || status >= 300) throw new Error(`The receiver answered with status ${status}.`);
  if (isOtlp) requireAll(text);
}

/** Returns the JSON form of OTLP logs (OpenTelemetry Protocol, "JSON Protobuf Encoding"): int64 values are texts. */
function otlpBody({ records, hostname, now }: Batch): string {
  const nanoseconds = (at: Date) => `${at.getTime()}000000`;
  const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });
  const logRecords = records.map(({ name, at, json }) => ({
    timeUnixNano: nanoseconds(at),
    observedTimeUnixNano: nanoseconds(now),
    severityNumber: 9,
    severityText: 'INFO',
    eventName: `keyturn.${name}`,
    body: { stringValue: json },
    attributes: [attribute('event.name', `keyturn.${name}`)],
  }));
  const attributes = [attribute('service.name', 'keyturn'), attribute('host.name', hostname)];
  return JSON.stringify({
    resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope: { name: 'keyturn.audit' }, logRecords }] }],
  });
}

/** A collector can accept a request and drop some of its records ("Partial Success"). @throws {Error} if it did. */
function requireAll(text: string): void {
  let dropped: unknown;
  try {
    dropped = (JSON.parse(text || '{}') as { partialSuccess?: { rejectedLogRecords?: unknown } }).partialSuccess
      ?.rejectedLogRecords;
  } catch {
    // The status says that it was accepted. Collectors may answer in another form.
  }
  if (Number(dropped ?? 0) > 0) throw new Error('The receiver dropped records of the batch.');
}

/** Facility 13 (log audit) and severity 6 (informational), RFC 5424 §6.2.1. */
const priority = 13 * 8 + 6;

/**
 * Sends messages of RFC 5424, framed by their length, over TLS (RFC 5425), and ends the connection. Syslog has no
 * acknowledgement; that the receiver ends its side too (§4.4) shows that it has read everything.
 */
async function sendToSyslog(
  { url, ca, certificate }: AuditStreamTarget,
  { records, hostname }: Batch,
  signal: AbortSignal,
): Promise<void> {
  const { hostname: host, port } = new URL(url.replace('tls:', 'https:'));
  const name = hostname.replace(/[^\x21-\x7e]/g, '').slice(0, 255) || '-';
  const frames = records.map(({ name: action, at, json }) => {
    const message = `<${priority}>1 ${at.toISOString()} ${name} keyturn - ${action.slice(0, 32)} - ${json}`;
    return `${Buffer.byteLength(message)} ${message}`;
  });
  const socket = connect({
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port || '443'),
    servername: host,
    ...(ca === undefined ? {} : { ca }),
    ...certificate,
  });
  await closedBy(socket, frames.join(''), AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
}

async function closedBy(socket: TLSSocket, text: string, signal: AbortSignal): Promise<void> {
  const stop = () => socket.destroy(new Error('The receiver did not end the connection in time.'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('end', () => {
        // If the receiver ends before everything was written, the rest may be lost.
        if (socket.writableFinished) resolve();
        else reject(new Error('The receiver closed the connection.'));
      });
      socket.once('close', () => reject(new Error('The receiver closed the connection.')));
      socket.once('secureConnect', () => socket.end(text));
      socket.resume();
    });
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}
