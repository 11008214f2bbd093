import type { UsageSource } from '../usage/usage-source.ts';
import type { Review, SecretUse } from './review.ts';

/**
 * Returns a review in its wire format. It is not defined with the routes, because the error that requires a review
 * contains it.
 */
export function presentReview({ confirmation, expiresInSeconds, impact }: Review): Record<string, unknown> {
  const { retiringSecret } = impact;
  return {
    confirmation,
    expires_in: expiresInSeconds,
    impact: {
      ...presentUse(impact),
      live_tokens: impact.liveTokens,
      retiring_secret: retiringSecret && {
        ...(retiringSecret.clientId === null ? {} : { client_id: retiringSecret.clientId }),
        hint: `…${retiringSecret.hint}`,
        retires_at: retiringSecret.retiresAt,
        ...presentUse(retiringSecret),
      },
    },
  };
}

function presentUse(use: SecretUse): Record<string, unknown> {
  return {
    last_used_at: use.lastUsedAt,
    used_by: use.usedBy.map(presentUser),
    used_by_others: use.usedByOthers,
    tokens_24h: use.tokens24h,
  };
}

function presentUser({ address, userAgent, lastUsedAt, issued24h }: UsageSource): Record<string, unknown> {
  return { address, user_agent: userAgent, last_seen_at: lastUsedAt, tokens_24h: issued24h };
}
