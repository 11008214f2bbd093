import type { Config } from '../config.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import type { NoticeChannel } from './channel.ts';
import { createCodeChannels } from './code-channel.ts';
import { createNotices, type Notices } from './deliver-notices.ts';
import { createDueNotices } from './due-notices.ts';
import { createMailChannels } from './mail-channel.ts';

type Deps = { database: Database; clock: Clock; log: Log; keyRing: KeyRing; config: Config; ttlSeconds: number };

/** Returns the notices of a deployment, with mails if it has a mail server. @param others further channels. */
export function openNotices(deps: Deps, ...others: readonly NoticeChannel[]): Notices {
  const channels = [...others, ...createMailChannels(deps), ...createCodeChannels(deps)];
  return createNotices({ ...deps, channels }, createDueNotices({ ...deps, rootKeyVersion: deps.keyRing.current }));
}
