import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where a Docker engine listens, as options for `http.request`. */
export type Engine = { socketPath: string } | { host: string; port: number };

/** Returns the engine that answers within two seconds, or undefined. */
export async function findEngine(): Promise<Engine | undefined> {
  for (const engine of candidates()) {
    const answer = await askEngine(engine, 'GET', '/_ping', 2_000).catch(() => undefined);
    if (answer !== undefined) return engine;
  }
  return undefined;
}

/** Returns only `DOCKER_HOST` if it is set, else the sockets where an engine usually listens. */
function candidates(): Engine[] {
  const host = process.env['DOCKER_HOST'];
  if (host?.startsWith('unix://')) return [{ socketPath: host.slice('unix://'.length) }];
  if (host) {
    const { protocol, hostname, port } = URL.canParse(host) ? new URL(host) : new URL('unknown:');
    return /^(tcp|http):$/.test(protocol) ? [{ host: hostname, port: Number(port || 2375) }] : [];
  }
  const sockets = ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')];
  const runtimeDirectory = process.env['XDG_RUNTIME_DIR'];
  if (runtimeDirectory) sockets.push(join(runtimeDirectory, 'docker.sock'));
  return sockets.filter((path) => existsSync(path)).map((socketPath) => ({ socketPath }));
}

/** Sends one request to the engine's API. Rejects unless the answer is a success. */
export function askEngine(engine: Engine, method: string, path: string, timeoutMs = 20_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...engine, method, path, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve(text);
        else reject(new Error(`${method} ${path}: ${statusCode} ${text}`));
      });
    });
    asking.on('error', reject);
    asking.end();
  });
}
