// biome-ignore lint/style/useNodejsImportProtocol: it is njs', not Node's
import crypto from 'crypto';

/** Decides for nginx's auth_request: 204 lets the request through, 401 and 403 refuse it, and anything else is "cannot be known". */
async function decide(request) {
  const required = request.variables.required_scope;
  if (!request.variables.bearer_token) return refuse(request, 401, 'Bearer');
  const answer = await request.subrequest('/_ask');
  if (answer.status !== 200) return request.return(500);
  const found = JSON.parse(answer.responseText);
  // A token that is bound to a key (`cnf`) is worth nothing without a proof, which is not checked here.
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

// biome-ignore lint/style/noDefaultExport: njs knows no other
export default { decide, tokenSha256, formToken };
