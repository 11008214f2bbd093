import type { RevokedTokens } from './change.ts';
import type { ChangeReader, RevokedPage } from './read-changes.ts';

/**
 * Loads the revoked tokens of a database server in limited pages, newest first, because a process that followed changes
 * before may lack only the newest ones.
 */
export type RevokedLoader = {
  /** Starts a new load of the tokens numbered up to `upTo`. Pages of an earlier load are ignored. */
  begin(upTo: number): void;
  /** Stops the load. Pages that are still being read are ignored. */
  cancel(): void;
  /** Returns whether a load is incomplete. */
  isLoading(): boolean;
  /** Returns whether any load has completed since this process started. */
  hasLoaded(): boolean;
  /** Reads one page, then the rest in the background. Does nothing if the rest is being read already. */
  advance(): Promise<void>;
  /** Resolves once no page is being read in the background. */
  idle(): Promise<void>;
};

/** An incomplete load. Tokens numbered up to `upTo` are missing. */
type Loading = { upTo: number; running: Promise<void> | undefined };

/**
 * Creates a loader.
 * @param deps.server returns the server that is followed.
 * @param deps.onOtherServer called instead of `onPage` if a page came from another server.
 * @param deps.onPage receives each page of revoked tokens.
 * @param deps.onLoaded called when a load is complete.
 * @param deps.onFailure receives an error of the background reading, which the next `advance` continues.
 */
export function createRevokedLoader(deps: {
  reader: Pick<ChangeReader, 'revokedUpTo'>;
  server(): string | undefined;
  onOtherServer(): void;
  onPage(revoked: RevokedTokens): void;
  onLoaded(): void;
  onFailure(error: Error): void;
}): RevokedLoader {
  const { reader } = deps;
  let loading: Loading | undefined;
  let hasLoaded = false;

  async function loadRest(started: Loading): Promise<void> {
    let upcoming = reader.revokedUpTo(started.upTo);
    while (loading === started) {
      const page = await upcoming;
      // Request the next page first, so that the database reads it while subscribers receive this one.
      if (page.below !== undefined) upcoming = reader.revokedUpTo(page.below);
      take(started, page);
    }
    await upcoming;
  }

  function take(started: Loading, page: RevokedPage): void {
    if (loading !== started) return;
    if (page.server !== deps.server()) {
      deps.onOtherServer();
      return;
    }
    if (page.revoked) deps.onPage(page.revoked);
    if (page.below !== undefined) {
      started.upTo = page.below;
      return;
    }
    loading = undefined;
    hasLoaded = true;
    deps.onLoaded();
  }

  return {
    begin: (upTo) => {
      loading = { upTo, running: undefined };
    },
    cancel: () => {
      loading = undefined;
    },
    isLoading: () => loading !== undefined,
    hasLoaded: () => hasLoaded,
    advance: async () => {
      if (!loading || loading.running) return;
      const started = loading;
      take(started, await reader.revokedUpTo(started.upTo));
      if (loading !== started) return;
      started.running = loadRest(started).catch((error: Error) => {
        started.running = undefined;
        deps.onFailure(error);
      });
    },
    idle: async () => {
      await loading?.running;
    },
  };
}
