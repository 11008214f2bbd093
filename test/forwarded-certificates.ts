import type { TestCertificate } from './certificates.ts';

const base64Of = ({ x509 }: TestCertificate) => x509.raw.toString('base64');
const bodyOf = ({ cert }: TestCertificate) => cert.replace(/-----[^-]+-----|\n/g, '');
/** RFC 3986 reserved characters that AWS leaves as they are. */
const escapedByAws = (text: string) => encodeURIComponent(text).replace(/%2B|%3D|%2F/g, decodeURIComponent);

/** The forms in which proxies hand over a client certificate, and how each is written for a certificate and its issuer. */
export const forwardedForms: [proxy: string, write: (own: TestCertificate, issuer: TestCertificate) => string][] = [
  ['nginx $ssl_client_escaped_cert', ({ cert }) => encodeURIComponent(cert)],
  ['HAProxy %[ssl_c_der,base64]', base64Of],
  ['Apache httpd %{SSL_CLIENT_CERT}s', ({ cert }) => cert.replaceAll('\n', ' ')],
  ['nginx $ssl_client_cert, PEM with tabs', ({ cert }) => cert.trim().replaceAll('\n', '\t')],
  ['Envoy X-Forwarded-Client-Cert', (own) => `Hash=${'a'.repeat(64)};Cert="${encodeURIComponent(own.cert)}"`],
  [
    'Envoy with all of its members',
    (own, issuer) =>
      `By=spiffe://a/b;Hash=1f;Cert="${encodeURIComponent(own.cert)}";Chain="${encodeURIComponent(own.cert + issuer.cert)}";Subject="CN=\\"x\\", O=y;z";URI=`,
  ],
  ['Envoy with a chain alone', (own, issuer) => `Chain="${encodeURIComponent(own.cert + issuer.cert)}"`],
  ['Traefik', bodyOf],
  ['Traefik with a chain', (own, issuer) => `${bodyOf(own)},${bodyOf(issuer)}`],
  ['Traefik, percent-encoded', (own) => encodeURIComponent(bodyOf(own))],
  ['AWS ALB', ({ cert }) => escapedByAws(cert)],
  ['AWS ALB with a chain', (own, issuer) => escapedByAws(own.cert + issuer.cert)],
  ['RFC 9440', (own) => `:${base64Of(own)}:`],
  ['RFC 9440 with parameters', (own) => `:${base64Of(own)}:;a=1; b="x"`],
  ['RFC 9440 without padding', (own) => `:${base64Of(own).replace(/=+$/, '')}:`],
];

/** Values that name no certificate, or more than one. */
export const unreadableForms: [what: string, write: (own: TestCertificate, other: TestCertificate) => string][] = [
  ['nonsense', () => 'x'],
  ['a chain whose second certificate is not the issuer', ({ cert }, other) => encodeURIComponent(cert + other.cert)],
  ['two elements of Envoy', (own) => `Cert="${encodeURIComponent(own.cert)}",Cert="${encodeURIComponent(own.cert)}"`],
  ['an element of Envoy without a certificate', () => 'Hash=1f;Subject="CN=x"'],
  ['an unclosed quote of Envoy', (own) => `Cert="${encodeURIComponent(own.cert)}`],
  ['a certificate and more', (own) => `${encodeURIComponent(own.cert)}x`],
];
