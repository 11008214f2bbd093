import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * The server's certificate and key, and the CAs trusted for client certificates. Each is a path or the PEM content of
 * the file.
 */
export type TlsFiles = {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
};

/** Reads the current contents of the files. @throws {Error} if one cannot be read or does not match the others. */
export function readTlsFiles(paths: TlsFiles): TlsFiles {
  const files = {
    cert: read('KEYTURN_TLS_CERT', paths.cert),
    key: read('KEYTURN_TLS_KEY', paths.key),
    clientCa: read('KEYTURN_TLS_CLIENT_CA', paths.clientCa),
  };
  if (files.cert !== undefined && files.key !== undefined) requirePair(files.cert, files.key);
  if (files.clientCa !== undefined) readCertificates(files.clientCa, 'KEYTURN_TLS_CLIENT_CA');
  return files;
}

/** Returns every certificate of a PEM file. @throws {Error} if it contains none or one cannot be read. */
export function readCertificates(pem: string, source: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*(-----END CERTIFICATE-----)?/g) ?? [];
  if (blocks.length === 0) throw new Error(`${source} contains no certificate`);
  return blocks.map((block) =>
    attempt(() => new X509Certificate(block), `${source} contains a certificate that cannot be read`),
  );
}

function requirePair(cert: string, key: string): void {
  const [own] = readCertificates(cert, 'KEYTURN_TLS_CERT');
  const privateKey = attempt(
    () => createPrivateKey(key),
    'KEYTURN_TLS_KEY must be a private key in PEM format without a passphrase',
  );
  if (!own?.publicKey.equals(createPublicKey(privateKey))) {
    throw new Error('KEYTURN_TLS_KEY does not match the certificate in KEYTURN_TLS_CERT');
  }
}

function read(variable: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  return attempt(() => readFileSync(path, 'utf8'), `${variable} cannot be read`);
}

function attempt<T>(work: () => T, problem: string): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${problem}: ${(error as Error).message}`);
  }
}
