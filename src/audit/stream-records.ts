import type { Row } from '../storage/database.ts';
import { type AuditAnchor, hex, type ProtectedEvent } from './audit-chain.ts';
import type { PersonalColumns } from './personal-values.ts';

/** One line of a stream of the audit log: an event, or the head of the log at the end of a batch. */
export type StreamRecord = {
  /** The action of the event, or `audit.head`. */
  name: string;
  at: Date;
  json: string;
};

/** A row of the audit log with its HMAC. */
export type StoredEvent = Row & ProtectedEvent & { key_version: string; mac: Uint8Array };

/**
 * An event as a stream has it. The names are those of the columns; bytes are hexadecimal. Events of the first format have
 * no digests and no salts.
 */
export type StreamedEvent = Omit<ProtectedEvent, 'at' | keyof PersonalColumns> &
  Partial<PersonalColumns> & { at: string; key_version: string; mac: string };

/** The head of the log, sealed, and the range of events before it. With it, the range can be proven to be complete. */
export type StreamedHead = {
  head: { seq: number; mac: string; key_version: string; seal: string };
  from: number;
  to: number;
  /** HMAC of the event before the range; empty for the first one. */
  previous_mac: string;
};

/** The columns of a row in the order in which a stream has them. */
export const eventColumns =
  'seq, at, actor, actor_name, address, action, target_type, target, before, after, organization, personal, actor_salt, subject_salt, key_version, mac';

/** Returns the records of a batch: its events, and the head of the log. */
export function recordsOf(
  events: readonly StoredEvent[],
  anchor: AuditAnchor,
  previousMac: Uint8Array,
  now: Date,
): StreamRecord[] {
  const head: StreamedHead = {
    head: { seq: anchor.seq, mac: hex(anchor.mac), key_version: anchor.key_version, seal: hex(anchor.seal) },
    from: events[0]?.seq ?? 0,
    to: events.at(-1)?.seq ?? 0,
    previous_mac: hex(previousMac),
  };
  return [
    ...events.map((event) => ({ name: event.action, at: event.at, json: lineOf(event) })),
    { name: 'audit.head', at: now, json: JSON.stringify(head) },
  ];
}

/** Returns an event as one line of JSON. */
export function lineOf({ mac, personal, actor_salt, subject_salt, ...event }: StoredEvent): string {
  const digests = personal ? { personal, actor_salt, subject_salt } : {};
  const streamed: StreamedEvent = { ...event, ...digests, at: event.at.toJSON(), mac: hex(mac) };
  return JSON.stringify(streamed);
}

/** Converts an event of a stream to the form that its HMAC covers. */
export function toProtected(event: StreamedEvent): ProtectedEvent {
  const { personal = null, actor_salt = null, subject_salt = null } = event;
  return { ...event, personal, actor_salt, subject_salt, at: new Date(event.at) };
}
