/** Names of the token exchange (RFC 8693). */

export const exchangeGrantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
/** The `subject_token_type` of an access key. Keyturn has no registered URN namespace, so it is a URL (RFC 8693 §3). */
export const accessKeyType = 'https://keyturn.dev/token-types/access-key';
