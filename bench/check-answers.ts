import { runLoad } from './load.ts';
import { tokenIn } from './measure.ts';
import type { Target } from './target.ts';

/**
 * Checks that a server does its job before it is measured: its token is active, another value is not, and a wrong
 * secret is refused.
 */
export async function checkAnswers(target: Target): Promise<void> {
  const [tokenRequest] = target.tokenRequests;
  const [wrongSecretRequest] = target.wrongSecretRequests;
  if (!tokenRequest) throw new Error(`${target.name} has nothing to ask`);
  const token = tokenIn(await ask(target, tokenRequest, 200));
  if (target.introspectionRequest) {
    requireBody(target, await ask(target, target.introspectionRequest(token), 200), '"active":true');
    requireBody(target, await ask(target, target.introspectionRequest(`${token}x`), 200), '"active":false');
  }
  if (wrongSecretRequest) requireBody(target, await ask(target, wrongSecretRequest, 401), '"error":"invalid_client"');
}

async function ask({ port }: Target, request: Buffer, expectedStatus: number): Promise<string> {
  const requests = [request];
  let body = '';
  const { refusal } = await runLoad({
    port,
    connections: 1,
    seconds: 5,
    next: () => requests.pop(),
    expectedStatus,
    onBody: (text) => {
      body = text;
    },
  });
  return refusal ?? body;
}

function requireBody({ name }: Target, body: string, part: string): void {
  if (!body.includes(part)) throw new Error(`${name} answers ${body}, without ${part}`);
}
