import type { UsageSource } from '../usage/usage-report.ts';

/** Effects of regenerating a secret, in numbers and names, and the confirmation that they were reviewed. */
export type Review = {
  confirmation: string;
  expiresInSeconds: number;
  impact: SecretUse & {
    liveTokens: number;
    /** Previous secret of a running grace period, which regenerating ends at once; null if there is none. */
    retiringSecret: (SecretUse & { clientId: string | null; hint: string; retiresAt: Date }) | null;
  };
};

export type SecretUse = {
  lastUsedAt: Date | null;
  /** Sources of the last 30 days, latest first, at most 50. */
  usedBy: UsageSource[];
  /** Number of further sources in the last 30 days. */
  usedByOthers: number;
  tokens24h: number;
};

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
