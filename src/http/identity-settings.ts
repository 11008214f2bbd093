import type { TrustSettings } from '../trusts/trust-keys.ts';
import { type ExchangePair, readExchangePairs } from './exchange-pairs.ts';
import { isAddressRange } from './trusted-proxies.ts';

/** The functions of the configuration that read a variable and report a problem. */
type Reader = {
  text(name: string): string | undefined;
  list(name: string): string[];
  check(name: string, valid: boolean, expected: string): void;
  onOrOff(name: string, fallback: string): boolean;
};

/** What is accepted instead of the credentials of a client. */
export type IdentitySettings = {
  /** Whether access keys that stand alone are accepted. */
  standaloneKeys: boolean;
  exchangePairs: readonly ExchangePair[];
  /** Where the keys of trusted issuers may be read. */
  trusts: TrustSettings;
};

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Reads what is accepted instead of the credentials of a client. */
export function readIdentitySettings(reader: Reader): IdentitySettings {
  return {
    standaloneKeys: reader.onOrOff('KEYTURN_STANDALONE_KEYS', 'off'),
    exchangePairs: readExchangePairs(reader),
    trusts: readTrustSettings(reader),
  };
}

function readTrustSettings({ text, list, check }: Reader): TrustSettings {
  const trustNetworks = list('KEYTURN_TRUST_NETWORKS');
  check('KEYTURN_TRUST_NETWORKS', trustNetworks.every(isAddressRange), 'a list of addresses or CIDRs');
  const clusterUrl = text('KEYTURN_CLUSTER_URL');
  const isHttps = clusterUrl === undefined || (URL.canParse(clusterUrl) && new URL(clusterUrl).protocol === 'https:');
  check('KEYTURN_CLUSTER_URL', isHttps, 'an https URL, such as https://kubernetes.default.svc');
  return { trustNetworks, clusterUrl, clusterFiles: text('KEYTURN_CLUSTER_FILES') ?? serviceAccount };
}
