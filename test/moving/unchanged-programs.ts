import * as client from 'openid-client';
import { type ClientProgram, createClientProgram, hasLanguage } from '../docs/client-programs.ts';

/** Programs of integrators, which get tokens of any OAuth server and are not changed for a move. */

/** The languages of docs/integrations.md whose programs use an OAuth library, and can be built on this machine. */
const languages = ['Python', 'Go'].filter(hasLanguage);

type Registered = { id: string; secret: string };

const authentications = { client_secret_basic: client.ClientSecretBasic, client_secret_post: client.ClientSecretPost };
type AuthMethod = keyof typeof authentications;
const bothMethods: readonly AuthMethod[] = ['client_secret_basic', 'client_secret_post'];

export type UnchangedPrograms = {
  /**
   * Gets a token with each program. The programs of the documents use HTTP Basic.
   * @param authMethods the ways of authentication that the server accepts; both by default.
   * @returns the names of the programs that got one.
   */
  getTokens(tokenUrl: string, registered: Registered, authMethods?: readonly AuthMethod[]): Promise<string[]>;
  names(authMethods?: readonly AuthMethod[]): string[];
  remove(): Promise<void>;
};

export async function createUnchangedPrograms(): Promise<UnchangedPrograms> {
  const built = new Map<string, ClientProgram>();
  for (const name of languages) built.set(name, await createClientProgram(name));
  return {
    names: (authMethods = bothMethods) => [
      ...authMethods.map(nameOf),
      ...(authMethods.includes('client_secret_basic') ? languages : []),
    ],
    async getTokens(tokenUrl, registered, authMethods = bothMethods) {
      const done: string[] = [];
      for (const method of authMethods) {
        if (await askWithOpenidClient(tokenUrl, registered, authentications[method])) done.push(nameOf(method));
      }
      for (const [name, program] of authMethods.includes('client_secret_basic') ? built : []) {
        const { id: CLIENT_ID, secret: CLIENT_SECRET } = registered;
        if (await program.run({ TOKEN_URL: tokenUrl, CLIENT_ID, CLIENT_SECRET })) done.push(name);
      }
      return done;
    },
    async remove() {
      for (const program of built.values()) await program.remove();
    },
  };
}

function nameOf(method: AuthMethod): string {
  return `openid-client with ${method}`;
}

async function askWithOpenidClient(
  token_endpoint: string,
  { id, secret }: Registered,
  authentication: (secret: string) => client.ClientAuth,
): Promise<boolean> {
  const config = new client.Configuration({ issuer: token_endpoint, token_endpoint }, id, {}, authentication(secret));
  client.allowInsecureRequests(config);
  return (await client.clientCredentialsGrant(config)).access_token !== '';
}
