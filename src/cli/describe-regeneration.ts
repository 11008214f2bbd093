import { type GracePeriodProposal, usualGracePeriod } from '../regeneration/propose-grace-period.ts';
import { plain, sheet } from './terminal.ts';

/** Members of a source that say which one it is. */
export type ShownSource = { address: string; user_agent: string; instance: string | null };

/** Members of a source in the admin API's responses that are displayed. */
type ShownUser = ShownSource & { last_seen_at: string | null; tokens_24h: number };

/** A source with the reason why it counts as moved to the new credential, or why it does not. */
type ShownJudged = ShownUser & {
  reason: string;
  counts_as_moved_at: string | null;
  required_silence_seconds: number;
  renewals_awaited: number;
  marked_at: string | null;
};

type ShownUse = { last_used_at: string | null; used_by: ShownUser[]; used_by_others: number; tokens_24h: number };

export type ShownReview = {
  confirmation: string;
  impact: Omit<ShownUse, 'used_by'> & {
    used_by: ShownJudged[];
    /** Absent for an access key. */
    keys?: (ShownUse & { type: string; kid: string | null; thumbprint: string; ends: boolean })[];
    awaits_first_use: boolean;
    warnings: string[];
    live_tokens: number;
    retiring_secret: (ShownUse & { hint: string; retires_at: string }) | null;
  };
};

export type ShownRegeneration = {
  id: string;
  state: string;
  hint: string;
  previous: { hint: string; retires_at: string | null };
  created_at: string;
  created_by: string;
  ended_at: string | null;
  ended_by: string | null;
  moved: ShownJudged[];
  still_using_old: ShownJudged[];
  tried_after_end: (ShownSource & { last_seen_at: string | null; refused: number })[];
};

/** Describes what regenerating would break. */
export function describeReview({ impact }: ShownReview): string {
  const { retiring_secret: retiring } = impact;
  const lines = [
    `Last used: ${impact.last_used_at ?? 'not in 30 days'}. Tokens issued in the last 24 hours: ${impact.tokens_24h}. Live tokens: ${impact.live_tokens}.`,
    ...(impact.awaits_first_use
      ? ['The secret was imported as a hash and still awaits its first use: its users are not known yet.']
      : []),
    ...impact.warnings,
    impact.used_by.length === 0 ? 'Not used in the last 30 days.' : 'Used in the last 30 days by:',
    ...users(impact.used_by),
  ];
  if (impact.used_by_others > 0) lines.push(`… and ${impact.used_by_others} more`);
  for (const { type, kid, thumbprint, ends, used_by: by, last_used_at: last } of impact.keys ?? []) {
    const fate = ends ? 'stops working after the grace period' : 'keeps working';
    lines.push(plain(`${type} ${kid ?? thumbprint} ${fate}. Last used: ${last ?? 'never'}.`), ...users(by));
  }
  if (retiring) {
    lines.push(
      `A grace period is running: the previous value ${retiring.hint}, valid until ${retiring.retires_at}, would stop working at once. Used in the last 30 days by:`,
      ...(retiring.used_by.length === 0 ? ['  no source'] : users(retiring.used_by)),
    );
  }
  return lines.join('\n');
}

/** Describes the grace period of a rotation, and why a longer one is proposed, if one is. @param overlap in seconds. */
export function describeGracePeriod(overlap: number, { seconds, longestPause }: GracePeriodProposal): string {
  const reason =
    seconds > usualGracePeriod
      ? ` A source pauses for up to ${inWords(longestPause)} between two uses, so at least ${inWords(seconds)} is proposed.`
      : '';
  return `Grace period: ${overlap === 0 ? 'none' : inWords(overlap)}.${reason}`;
}

function inWords(seconds: number): string {
  if (seconds < 7_200) return `${Math.ceil(seconds / 60)} minutes`;
  const hours = Math.ceil(seconds / 3_600);
  return hours < 48 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
}

/** Describes a regeneration and the sources that use its secrets. */
export function describeRegeneration(regeneration: ShownRegeneration): string {
  const { previous, ended_at: endedAt, ended_by: endedBy } = regeneration;
  const lines = [
    sheet({
      regeneration: regeneration.id,
      state: regeneration.state,
      previous: `${previous.hint}${previous.retires_at ? ` until ${previous.retires_at}` : ''}`,
      new: regeneration.hint,
      created: `${regeneration.created_at} by ${regeneration.created_by}`,
      ...(endedAt ? { ended: `${endedAt} ${endedBy ? `by ${endedBy}` : 'at the end of the grace period'}` } : {}),
    }),
  ];
  const group = (title: string, rows: string[]) => rows.length > 0 && lines.push(title, ...rows);
  group('Uses the new value:', regeneration.moved.flatMap(withReason));
  group('Still uses the previous value:', regeneration.still_using_old.flatMap(withReason));
  group(
    'Rejected with the previous value after its end:',
    regeneration.tried_after_end.map(({ last_seen_at, refused, ...source }) =>
      plain(`  ${describeSource(source, '  ')}  ${refused} requests, last at ${last_seen_at}`),
    ),
  );
  return lines.join('\n');
}

/** Describes which source it is. @param separator stands between its parts. */
export function describeSource({ address, user_agent, instance }: ShownSource, separator: string): string {
  return [address, user_agent, instance === null ? '' : `instance ${instance}`].filter(Boolean).join(separator);
}

const reasons: Readonly<Record<string, string>> = {
  marked_as_moved: 'marked as moved by an operator',
  never_seen_with_new: 'never seen with the new value',
  used_previous_recently: 'used the previous value less than a token lifetime ago',
  silent_less_than_usual: 'may use the previous value again: it has paused for longer before',
  awaits_renewals: 'held several tokens at a time with the previous value, so it may be several programs',
  holds_previous_tokens: 'tokens that were obtained with the previous value are live',
  address_unreadable: 'its address is unknown, so it never counts as moved',
  merged_sources: 'all sources that are not listed one by one; they never count as moved',
};

/** Describes a source, and below it why it counts as moved or not, and from when it will. */
function withReason(source: ShownJudged): string[] {
  const { reason, counts_as_moved_at: at, renewals_awaited: renewals, marked_at: markedAt } = source;
  if (reason === 'moved') return users([source]);
  const from = at !== null && reason !== 'marked_as_moved' ? `; counts as moved from ${at} without another use` : '';
  const lapsed =
    markedAt === null || reason === 'marked_as_moved'
      ? ''
      : `; was marked as moved at ${markedAt}, but has used the previous value since`;
  const awaited =
    renewals > 1 || reason === 'awaits_renewals' ? `; ${renewals} more tokens with the new value are awaited` : '';
  return [...users([source]), `    ${reasons[reason] ?? reason}${from}${awaited}${lapsed}`];
}

function users(all: readonly ShownUser[]): string[] {
  return all.map(({ last_seen_at, tokens_24h, ...source }) =>
    plain(`  ${describeSource(source, '  ')}  last used ${last_seen_at}, ${tokens_24h} tokens in the last 24 hours`),
  );
}
