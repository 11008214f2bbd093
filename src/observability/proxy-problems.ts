/** Why a header that only a proxy should send was ignored, with the text of the log. */
export const proxyProblemMessages = {
  untrusted_address:
    'ignored X-Forwarded-For or Forwarded of a peer that is not in KEYTURN_TRUST_PROXY; if it is your proxy, add its address',
  unreadable_address:
    'a trusted proxy sent a forwarded address that cannot be read, so its caller is not counted in any limit or as a source of usage',
  untrusted_certificate:
    'ignored a client certificate in a header of a peer that is not in KEYTURN_CLIENT_CERT_PROXY; if it is your proxy, add its address',
  unreadable_certificate:
    'a proxy sent a client certificate that cannot be read, in the header KEYTURN_CLIENT_CERT_HEADER',
} as const;

export type ProxyProblem = keyof typeof proxyProblemMessages;

/** All problems, so that metrics report a zero for each before it first occurs. */
export const proxyProblems = Object.keys(proxyProblemMessages) as ProxyProblem[];
