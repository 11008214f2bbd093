export type ChangeKind =
  | 'client'
  | 'resource_servers'
  | 'access_key'
  | 'token'
  | 'signing_keys'
  | 'revoked_signing_key'
  | 'foreign_client_ids';

/** A committed change: cached data of `target` is outdated. `seq` is its number in the table `changes`. */
export type CommittedChange = { seq: number; kind: ChangeKind; target: string; expiresAt: Date };

/** A change as subscribers receive it, to drop cached data of `target`. */
export type Change = { kind: ChangeKind; target: string; expiresAt: Date; position: FeedPosition };

/**
 * The position of a follower in the form `c<number>.<server>`: it knows every change of this server up to this number.
 * Resuming from it may repeat changes but misses none.
 */
export type FeedPosition = string;

export function toChange({ kind, target, expiresAt }: CommittedChange, position: FeedPosition): Change {
  return { kind, target, expiresAt, position };
}
