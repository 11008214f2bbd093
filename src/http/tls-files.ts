import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Log } from '../observability/log.ts';

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
function readTlsFiles(paths: TlsFiles): TlsFiles {
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
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // The message of the error has the path, in whose place people also write the key itself.
    throw new Error(`${variable} cannot be read: it must name a file (${(error as NodeJS.ErrnoException).code})`);
  }
}

function attempt<T>(work: () => T, problem: string): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${problem}: ${(error as Error).message}`);
  }
}

const lookEveryMs = 1_000;

export type FollowedTlsFiles = {
  /** Returns the contents in use. */
  current(): TlsFiles;
  /** Registers a callback for contents that have changed and can be used. */
  onChange(use: (files: TlsFiles) => void): void;
  stop(): void;
};

/**
 * Reads the files again every second. Tools that renew certificates write them in place, move them into place or
 * replace a parent symlink, and no file watcher detects all of these. Contents that cannot be used, such as a
 * certificate without its matching key, are logged, and the previous contents stay in use.
 */
export function followTlsFiles(paths: TlsFiles, log: Log): FollowedTlsFiles {
  const listeners: ((files: TlsFiles) => void)[] = [];
  let current = readTlsFiles(paths);
  let problem: string | undefined;

  function look(): void {
    try {
      const files = readTlsFiles(paths);
      problem = undefined;
      if (sameFiles(files, current)) return;
      for (const use of listeners) use(files);
      current = files;
      log.info('reloaded TLS certificate');
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem)
        log.warn({ error: message }, 'failed to load changed TLS files, still using the previous ones');
      problem = message;
    }
  }

  const isUsed = Object.values(paths).some((path) => path !== undefined);
  const timer = isUsed ? setInterval(look, lookEveryMs).unref() : undefined;
  return {
    current: () => current,
    onChange: (use) => void listeners.push(use),
    stop: () => clearInterval(timer),
  };
}

function sameFiles(some: TlsFiles, others: TlsFiles): boolean {
  return some.cert === others.cert && some.key === others.key && some.clientCa === others.clientCa;
}

/** Returns why files cannot be used, for a person who sets the variables. */
export function problemsOfTls(paths: TlsFiles): string[] {
  if ((paths.cert === undefined) !== (paths.key === undefined))
    return ['KEYTURN_TLS_CERT and KEYTURN_TLS_KEY must be set together'];
  try {
    readTlsFiles(paths);
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}
