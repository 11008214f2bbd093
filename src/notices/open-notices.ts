import type { CommitChange } from '../audit/audit-log.ts';
import type { Config } from '../config.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import { answerMailLinkRequests } from './answer-mail-links.ts';
import type { NoticeChannel } from './channel.ts';
import { createCodeChannels } from './code-channel.ts';
import { createNotices, type Notices } from './deliver-notices.ts';
import { createDueNotices } from './due-notices.ts';
import { createMailChannels } from './mail-channel.ts';
import { createMailLinkChannels } from './mail-link-channel.ts';

type Deps = {
  database: Database;
  change: CommitChange;
  clock: Clock;
  log: Log;
  keyRing: KeyRing;
  config: Config;
  ttlSeconds: number;
};

/** Returns the notices of a deployment, with mails if it has a mail server. @param others further channels. */
export function openNotices(deps: Deps, ...others: readonly NoticeChannel[]): Notices {
  const channels = [
    ...others,
    ...createMailChannels(deps),
    ...createCodeChannels(deps),
    ...createMailLinkChannels(deps),
  ];
  const tellDue = createDueNotices({ ...deps, rootKeyVersion: deps.keyRing.current });
  const { mail, portalUrl } = deps.config;
  if (!mail || portalUrl === undefined) return createNotices({ ...deps, channels }, tellDue);
  return createNotices({ ...deps, channels }, async () => {
    await Promise.all([tellDue(), answerMailLinkRequests(deps)]);
  });
}
