import { connect, type Socket } from 'node:net';

export type LoadRequest = {
  port: number;
  connections: number;
  /** When to stop sending; requests already sent are awaited. */
  seconds: number;
  /** Returns the next complete request, or undefined if there are no more. */
  next: () => Buffer | undefined;
  /** Answers with another status do not count, so that a server that refuses is not measured. */
  expectedStatus: number;
  onBody?: (body: string) => void;
};

export type Load = {
  answers: number;
  /** Number of answers with another status, and the last one of them. */
  refusals: number;
  refusal: string | undefined;
  seconds: number;
  /** Latencies in milliseconds, ascending. */
  latencies: Float64Array;
};

const patienceMs = 10_000;

/**
 * Sends requests over keep-alive connections, one at a time on each. A minimal HTTP/1.1 reader: its own cost is small
 * compared with any server.
 * @throws {Error} if a connection breaks or nothing arrives for 10 s; also whatever `onBody` throws.
 */
export async function runLoad(request: LoadRequest): Promise<Load> {
  const outcome: Outcome = { latencies: [], refusals: 0, refusal: undefined };
  const startedAt = performance.now();
  const endAt = startedAt + request.seconds * 1_000;
  await Promise.all(
    Array.from({ length: request.connections }, () =>
      askOver(connect(request.port, '127.0.0.1'), request, endAt, outcome),
    ),
  );
  return {
    answers: outcome.latencies.length,
    refusals: outcome.refusals,
    refusal: outcome.refusal,
    seconds: (performance.now() - startedAt) / 1_000,
    latencies: Float64Array.from(outcome.latencies).sort(),
  };
}

type Outcome = { latencies: number[]; refusals: number; refusal: string | undefined };

function askOver(socket: Socket, request: LoadRequest, endAt: number, outcome: Outcome): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let sentAt = 0;
  let pending = '';

  const send = () => {
    const bytes = performance.now() < endAt ? request.next() : undefined;
    if (!bytes) {
      socket.destroy();
      resolve();
      return;
    }
    sentAt = performance.now();
    socket.write(bytes);
  };

  socket.setNoDelay(true);
  socket.setTimeout(patienceMs, () => fail(`no answer within ${patienceMs} ms`));
  socket.on('connect', send);
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => fail('the server closed the connection'));
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    const answer = readAnswer(pending);
    if (!answer) return;
    pending = '';
    if (answer.status === request.expectedStatus) {
      outcome.latencies.push(performance.now() - sentAt);
      try {
        request.onBody?.(answer.body);
      } catch (error) {
        fail((error as Error).message);
        return;
      }
    } else {
      outcome.refusals += 1;
      outcome.refusal = `${answer.status} ${answer.body}`;
    }
    send();
  });
  return promise;

  function fail(reason: string): void {
    socket.destroy();
    reject(new Error(`port ${request.port}: ${reason}`));
  }
}

/** Returns one complete answer, or undefined if more bytes are needed. */
function readAnswer(text: string): { status: number; body: string } | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  let at = text.indexOf('Content-Length: ');
  if (at === -1 || at > headEnd) at = text.toLowerCase().indexOf('content-length: ');
  const status = Number(text.slice(9, 12));
  const bodyStart = headEnd + 4;
  if (at === -1 || at > headEnd) {
    // Chunks (RFC 9112 §7.1) stay as they are: readers of the body only search it for a substring.
    return text.endsWith('\r\n0\r\n\r\n') ? { status, body: text.slice(bodyStart) } : undefined;
  }
  const length = Number.parseInt(text.slice(at + 16, at + 26), 10);
  return text.length < bodyStart + length ? undefined : { status, body: text.slice(bodyStart, bodyStart + length) };
}
