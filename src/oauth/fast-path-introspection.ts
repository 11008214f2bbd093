import type { Core } from '../core.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { examineToken, type LiveToken, recallToken } from '../tokens/access-token.ts';
import { tokenTypeOf } from '../tokens/token-store.ts';
import type { Caller } from './client-authentication.ts';
import type { FastAnswer } from './fast-path-answer.ts';
import type { HeadStart } from './head-start.ts';
import type { Form } from './read-form.ts';

const parameters = new Set(['token', 'token_type_hint', 'client_id', 'client_secret']);

/** Undefined: that is for the slow path, with what was found in `headStart`, so that no store is asked twice. */
export function answerIntrospection(
  core: Core,
  { client: server }: Caller,
  { values }: Form,
  headStart: HeadStart,
): FastAnswer | Promise<FastAnswer | undefined> | undefined {
  for (const name of values.keys()) if (!parameters.has(name)) return undefined;
  const token = values.get('token') ?? '';
  if (server.kind !== 'resource_server' || !isWellFormedSecret(token, 'kta_')) return undefined;
  const near = recallToken(core, token, server);
  if (near) return { body: present(core, near), accessKey: undefined };
  return examineToken(core, token, server).then((live) => {
    headStart.examined = { live };
    return live && { body: present(core, live), accessKey: undefined };
  });
}

/** RFC 7662 §2.2, with the members in the order in which oidc-provider has them. */
function present({ issuer }: Core, { record, scope, audience, accessKey }: LiveToken): string {
  return JSON.stringify({
    active: true,
    sub: record.clientId,
    access_key_id: accessKey?.id,
    contact_id: accessKey?.contactId,
    client_id: record.clientId,
    exp: record.expiresAt,
    iat: Math.floor(record.issuedAt / 1_000),
    iss: issuer,
    jti: record.jti,
    aud: audience,
    scope,
    cnf: record.confirmation,
    token_type: tokenTypeOf(record),
  });
}
