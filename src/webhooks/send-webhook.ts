import { fetchOutside } from '../http/outside-fetch.ts';
import { eventMediaType } from './webhook-event.ts';
import type { SignedHeaders } from './webhook-signature.ts';

/** The result of one attempt. */
export type Attempt =
  | { isDelivered: true; status: number }
  /** @property status undefined if there was no answer. @property reason for people, without any part of a body. */
  | { isDelivered: false; status: number | undefined; reason: string };

const timeoutMs = 10_000;

/**
 * Sends an event to a receiver, whose URL somebody else has chosen.
 * @param options.isAllowed returns whether an address may be connected to.
 */
export async function sendWebhook(
  url: string,
  signed: SignedHeaders,
  body: string,
  options: { isAllowed: (address: string) => boolean; ca?: string | undefined; signal?: AbortSignal | undefined },
): Promise<Attempt> {
  const headers = {
    ...signed,
    'Content-Type': eventMediaType,
    'Content-Length': String(Buffer.byteLength(body)),
    'User-Agent': 'Keyturn-Webhooks',
  };
  const { isAllowed, ca, signal } = options;
  try {
    const { status } = await fetchOutside(
      url,
      { method: 'POST', headers, body },
      // The rules for URLs accept http for this machine only.
      {
        isAllowed,
        allowPlain: true,
        timeoutMs,
        readsBody: false,
        ...(ca === undefined ? {} : { ca }),
        ...(signal ? { signal } : {}),
      },
    );
    if (status >= 200 && status < 300) return { isDelivered: true, status };
    return { isDelivered: false, status, reason: `The receiver answered with status ${status}.` };
  } catch (error) {
    return { isDelivered: false, status: undefined, reason: describe(error as NodeJS.ErrnoException) };
  }
}

function describe(error: NodeJS.ErrnoException): string {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') {
    return `The receiver did not answer within ${timeoutMs / 1_000} seconds.`;
  }
  return `The receiver cannot be reached: ${(error.code ?? error.message).slice(0, 100)}.`;
}
