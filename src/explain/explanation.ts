/** The answer to "why was this accepted or rejected", with the rules that decided. */
export type Explanation = {
  kind: 'access_token' | 'access_key' | 'client_secret' | 'client' | 'request' | 'unknown';
  /** `unknown` if nothing is known of the value, or not any more. */
  verdict: Verdict;
  /** The rules that were applied. The first one with the verdict `rejected` decided. */
  findings: Finding[];
};

export type Verdict = 'accepted' | 'rejected' | 'unknown';

/** One rule with the facts that decided. */
export type Finding = {
  /** The name of the rule, such as `client_disabled`. */
  rule: string;
  verdict: Verdict;
  /** One or two sentences for people, without any secret value. */
  text: string;
  subject: Subject | null;
  /** When it was decided, for example when the client was disabled. */
  at: Date | null;
  /** The name of the operator who decided; null if unknown, or if the reader may not see the audit log. */
  by: string | null;
  /** The number of the audit event. */
  eventId: number | null;
  regenerationId: string | null;
};

/** The client or access key that a finding is about. @property contactId the contact of an access key. */
export type Subject = { type: 'client' | 'access_key'; id: string; name: string; contactId: string | null };

/** Returns a finding; members that are not given are null. */
export function finding(
  rule: string,
  verdict: Verdict,
  text: string,
  more: Partial<Omit<Finding, 'rule' | 'verdict' | 'text'>> = {},
): Finding {
  return { rule, verdict, text, subject: null, at: null, by: null, eventId: null, regenerationId: null, ...more };
}

/** Returns the explanation with the verdict that follows from its findings. */
export function explanationOf(kind: Explanation['kind'], findings: Finding[]): Explanation {
  const verdicts = findings.map(({ verdict }) => verdict);
  const verdict = verdicts.includes('rejected') ? 'rejected' : verdicts.includes('accepted') ? 'accepted' : 'unknown';
  return { kind, verdict, findings };
}

/** Formats a time for a sentence. */
export function timeText(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
