export type ChangeKind =
  | 'client'
  | 'resource_servers'
  | 'access_key'
  | 'token'
  | 'signing_keys'
  | 'revoked_signing_key'
  | 'foreign_client_ids';

/** A change that is committed: whatever is cached of `target` is outdated. `seq` is its number in the table `changes`. */
export type CommittedChange = { seq: number; kind: ChangeKind; target: string; expiresAt: Date };

/** Something that other processes may have cached is no longer what it was. */
export type Change = {
  kind: ChangeKind;
  target: string;
  expiresAt: Date;
  position: FeedPosition;
  /** Whether it was read as part of the current state, at the start or after a restart of the database. */
  isLoaded: boolean;
};

/**
 * How far a follower has been told, as `c<number>.<server>`: it has been told every change up to this number of this server.
 * Reading on from there may repeat some changes and misses none.
 */
export type FeedPosition = string;
