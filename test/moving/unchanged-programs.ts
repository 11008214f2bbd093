import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as client from 'openid-client';
import { debianPython, hasPrograms } from '../programs.ts';

/** Programs of integrators, which get tokens of any OAuth server and are not changed for a move. */

const run = promisify(execFile);
const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

type Registered = {
  id: string;
  secret: string;
  scope: string;
  /** The parameter `audience`, which Auth0 requires. */
  audience?: string;
};
type AuthMethod = 'client_secret_basic' | 'client_secret_post';
/** Returns the token. */
type Program = (tokenUrl: string, registered: Registered, method: AuthMethod) => Promise<string>;

const bothMethods: readonly AuthMethod[] = ['client_secret_basic', 'client_secret_post'];

export type UnchangedPrograms = {
  /** Gets a token with each program. @returns the tokens by the name of the program and the way of authentication. */
  getTokens(
    tokenUrl: string,
    registered: Registered,
    authMethods?: readonly AuthMethod[],
  ): Promise<Record<string, string>>;
  /** Returns the names of the tokens that `getTokens` returns. */
  names(authMethods?: readonly AuthMethod[]): string[];
  remove(): Promise<void>;
};

/** Builds the programs whose languages this machine has; openid-client is always among them. */
export async function createUnchangedPrograms(): Promise<UnchangedPrograms> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-programs-'));
  const programs: Record<string, Program> = { 'openid-client': askWithOpenidClient };
  if (hasPrograms('Go')) programs['x/oauth2'] = startedAs(await buildGoProgram(directory));
  if (hasPrograms('Python requests-oauthlib')) {
    programs['requests-oauthlib'] = startedAs([debianPython, pathOf('programs/oauthlib_client.py')]);
  }
  if (hasPrograms('Maven', 'Java compiler')) programs['Spring'] = startedAs(await prepareJavaProgram(directory));
  const nameOf = (name: string, method: AuthMethod) => `${name} with ${method}`;
  return {
    names: (authMethods = bothMethods) =>
      Object.keys(programs).flatMap((name) => authMethods.map((method) => nameOf(name, method))),
    async getTokens(tokenUrl, registered, authMethods = bothMethods) {
      const tokens: Record<string, string> = {};
      for (const [name, ask] of Object.entries(programs)) {
        for (const method of authMethods) tokens[nameOf(name, method)] = await ask(tokenUrl, registered, method);
      }
      return tokens;
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function buildGoProgram(directory: string): Promise<string[]> {
  const program = join(directory, 'go-client');
  await copyFile(pathOf('programs/client.go'), join(directory, 'main.go'));
  const build = `go mod init client && go get golang.org/x/oauth2 && go build -o '${program}' .`;
  await run('sh', ['-c', build], { cwd: directory });
  return [program];
}

/** Finds the libraries of Spring; Maven fetches them once. */
async function prepareJavaProgram(directory: string): Promise<string[]> {
  const classPath = join(directory, 'class-path');
  await run('mvn', ['-q', '-B', 'dependency:build-classpath', `-Dmdep.outputFile=${classPath}`], {
    cwd: pathOf('../interop/discovery/java'),
  });
  return ['java', '-cp', await readFile(classPath, 'utf8'), pathOf('programs/SpringClient.java')];
}

function startedAs([command = '', ...args]: readonly string[]): Program {
  return async (TOKEN_URL, { id: CLIENT_ID, secret: CLIENT_SECRET, scope: SCOPE, audience: AUDIENCE = '' }, method) => {
    // oauthlib requires TLS, or this variable.
    const given = { TOKEN_URL, CLIENT_ID, CLIENT_SECRET, SCOPE, AUDIENCE, OAUTHLIB_INSECURE_TRANSPORT: '1' };
    const { stdout } = await run(command, args, { env: { ...process.env, ...given, AUTH_METHOD: method } });
    return stdout.trim();
  };
}

const authentications = { client_secret_basic: client.ClientSecretBasic, client_secret_post: client.ClientSecretPost };

async function askWithOpenidClient(
  token_endpoint: string,
  { id, secret, scope, audience }: Registered,
  method: AuthMethod,
): Promise<string> {
  const server = { issuer: token_endpoint, token_endpoint };
  const config = new client.Configuration(server, id, {}, authentications[method](secret));
  client.allowInsecureRequests(config);
  return (await client.clientCredentialsGrant(config, { scope, ...(audience ? { audience } : {}) })).access_token;
}
