import type { Config } from '../config.ts';

/** Tells whether a Host is one that this server answers for: its issuer's, or one that it is told to allow. */
export function createHostCheck({ issuer, allowedHosts }: Config): (host: string) => boolean {
  const hosts = new Set([new URL(issuer).host, ...allowedHosts]);
  return (host) => {
    const name = host.toLowerCase();
    return hosts.has(name) || hosts.has(name.replace(/:\d+$/, ''));
  };
}
