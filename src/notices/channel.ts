import type { Config } from '../config.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Clock } from '../process/clock.ts';
import type { Database, Transaction } from '../storage/database.ts';
import type { Notice } from './notice.ts';

/** Parts of the deployment that channels of e-mail need. */
export type MailChannelDeps = { database: Database; keyRing: KeyRing; clock: Clock; config: Config };

/** A receiver of notices through a channel. */
export type NoticeReceiver = {
  /** Unique within the channel, such as the id of a contact. */
  id: string;
  organizationId: string;
  /** How operators recognize it. */
  name: string;
};

/**
 * The result of one attempt to deliver a notice.
 * - `retry`: tried again later, with increasing pauses. `isUnknown` if the receiver may have it already, so that it is
 *   delivered again with the same notices.
 * - `parked`: not tried again unless an operator asks for it.
 * - `skipped`: the receiver no longer exists, or no longer wants it.
 */
export type DeliveryOutcome =
  | { as: 'delivered' }
  | { as: 'retry'; reason: string; isUnknown?: boolean }
  | { as: 'parked'; reason: string }
  | { as: 'skipped'; reason: string };

/** A way to deliver notices. One process at a time delivers to a receiver, in the order of the notices. */
export type NoticeChannel = {
  name: 'mail' | 'code' | 'mail_link' | 'webhook';
  /** Maximum number of notices in one call of `deliver`. */
  batchSize: number;
  /** Milliseconds to wait for further notices, which are then delivered together with the first one. */
  collectMs: number;
  /** Milliseconds after a delivery in which nothing more about the same thing is delivered to the same receiver. */
  quietMs: number;
  /** Finds the receivers of a notice, in the transaction that determines its deliveries. */
  findReceivers(transaction: Transaction, notice: Notice): Promise<readonly NoticeReceiver[]>;
  /**
   * Delivers notices to one receiver. It must settle within a minute; the signal ends it then.
   * @param receiver the id of the receiver.
   * @param notices in order. After a process was killed, the same ones are delivered again.
   * @returns an outcome for each notice, in order; undefined for those that were not tried, which stay pending. If one is
   *   to be tried again, no later one with the same `thing` must be delivered before it.
   */
  deliver(
    receiver: string,
    notices: readonly Notice[],
    signal: AbortSignal,
  ): Promise<readonly (DeliveryOutcome | undefined)[]>;
};
