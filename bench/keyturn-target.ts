import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateSecret } from '../src/credentials/credential-format.ts';
import { freePort } from '../test/free-port.ts';
import type { Deployment } from './keyturn-deployment.ts';
import { startServerProcess } from './server-process.ts';
import { postRequest, type Target } from './target.ts';

const ownDirectory = fileURLToPath(new URL('..', import.meta.url));
const form = { grant_type: 'client_credentials' };
const assertionType = { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' };

/**
 * Starts Keyturn as it is deployed: all features on, access log to a file.
 * @param directory a checkout of Keyturn, by default this one.
 */
export async function startKeyturn(
  deployment: Deployment,
  name: string,
  env: Record<string, string> = {},
  { on, directory = ownDirectory, instances = 0 }: { on?: 'anywhere'; directory?: string; instances?: number } = {},
): Promise<Target> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const log = openSync(join(deployment.directory, `${name.replaceAll(/\W/g, '-')}.log`), 'a');
  const server = await startServerProcess({
    ...(on && { on }),
    args: [join(directory, 'src/main.ts'), 'start'],
    env: { ...deployment.env, KEYTURN_PORT: String(port), KEYTURN_ADMIN_PORT: String(adminPort), ...env },
    stdio: ['ignore', log, 'inherit'],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok,
  });
  closeSync(log);
  return {
    ...server,
    name,
    port,
    tokenRequests: Array.from({ length: Math.max(instances, 1) }, (_, instance) =>
      deployment.integrations.map((client) =>
        postRequest(port, '/oauth2/token', form, client, instances > 0 ? `pod-${instance}` : undefined),
      ),
    ).flat(),
    workloadRequests: deployment.workloadTokens.map((token) =>
      postRequest(port, '/oauth2/token', { ...form, ...assertionType, client_assertion: token }, undefined),
    ),
    standaloneKeys: deployment.standaloneKeys,
    wrongSecretRequests: deployment.integrations.map(([id]) =>
      postRequest(port, '/oauth2/token', form, [id, generateSecret('kts_')]),
    ),
    introspectionRequest: (token) => postRequest(port, '/oauth2/introspect', { token }, deployment.resourceServer),
  };
}
