import { CommandEnd } from '../terminal.ts';
import { authenticate, nextParameters, withPrevious } from './agent-credential.ts';
import type { Credentials, Started } from './credential-store.ts';

/** Members of an answer of the rotation endpoint that the agent uses. */
export type Rotation = {
  regeneration_id: string;
  state: 'overlapping' | 'finished' | 'undone';
  client_id: string;
  client_secret?: string;
  previous: { retires_at: string | null };
  first_used_at: string | null;
  not_moved_count: number;
};

/** What was done, or why it has to be done again later. */
export type Outcome<T> = { done: T } | { retry: string };

const timeoutMs = 30_000;

/** Requests a rotation, or the progress of the same one. @throws {CommandEnd} 1 if the server rejects it. */
export async function requestRotation(
  issuer: string,
  credentials: Credentials,
  started: Started,
): Promise<Outcome<Rotation>> {
  const { headers, parameters } = await authenticate(issuer, credentials);
  const response = await fetch(`${issuer}/oauth2/credentials/rotate`, {
    method: 'POST',
    headers: { ...headers, 'Idempotency-Key': started.idempotency_key, 'User-Agent': 'keyturn-agent' },
    body: new URLSearchParams({
      ...parameters,
      ...nextParameters(started),
      overlap_seconds: String(started.overlap_seconds),
      finish_when_unused: 'true',
    }),
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => ({ failure: error.cause instanceof Error ? error.cause.message : error.message }));
  if ('failure' in response) return { retry: `The server cannot be reached: ${response.failure}.` };
  const body = (await response.json().catch(() => ({}))) as Rotation & { error?: string; error_description?: string };
  if (response.ok && body.state) return { done: body };
  const previous = withPrevious(credentials);
  // After an undo, only the previous credential is accepted.
  if (response.status === 401 && previous) return await requestRotation(issuer, previous, started);
  const said = body.error_description ?? `The server answered with status ${response.status}.`;
  if (response.status >= 500 || response.status === 429 || body.error === 'answer_not_kept') return { retry: said };
  throw new CommandEnd(1, `error: ${said}`);
}
