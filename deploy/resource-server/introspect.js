// biome-ignore lint/style/useNodejsImportProtocol: this is a module of njs, not of Node.js
import crypto from 'crypto';

/**
 * Answers nginx's auth_request: 204 accepts the request, 401 and 403 reject it, and any other status means that the
 * state of the token is unknown.
 */
async function decide(request) {
  const required = request.variables.required_scope;
  if (!request.variables.bearer_token) return refuse(request, 401, 'Bearer');
  const answer = await request.subrequest('/_ask');
  if (answer.status !== 200) return request.return(500);
  const found = JSON.parse(answer.responseText);
  // Reject tokens that are bound to a key (`cnf`), because the required proof is not checked here.
  const isLive = found.active === true && found.exp > Date.now() / 1000 && found.cnf === undefined;
  if (!isLive) return refuse(request, 401, 'Bearer error="invalid_token"');
  if (!found.scope.split(' ').includes(required)) {
    return refuse(request, 403, `Bearer error="insufficient_scope", scope="${required}"`);
  }
  request.headersOut['Client-Id'] = found.client_id;
  request.return(204);
}

function refuse(request, status, challenge) {
  request.headersOut.Challenge = challenge;
  request.return(status);
}

function tokenSha256(request) {
  return crypto.createHash('sha256').update(request.variables.bearer_token).digest('hex');
}

function formToken(request) {
  return encodeURIComponent(request.variables.bearer_token);
}

// biome-ignore lint/style/noDefaultExport: njs requires a default export
export default { decide, tokenSha256, formToken };
