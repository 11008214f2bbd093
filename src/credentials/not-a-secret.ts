/**
 * Recognizes values that exports and templates contain in place of a secret: masks, references to a vault, and hashes.
 */

/**
 * The kind of a value that is not a secret. `mask`, `placeholder` and `hash` can never be one. `hash_like` has the
 * length and the alphabet of a bare hash, which some random secrets have too (`openssl rand -base64 32`), so an
 * operator may accept it.
 */
export type NotASecret = 'mask' | 'placeholder' | 'hash' | 'hash_like';

const masks = [/^[*•●·.xX_#-]+$/, /^[([<]?(?:hidden|masked|redacted|sensitive(?: value)?|filtered|removed)[)\]>]?$/i];

const placeholders: readonly RegExp[] = [
  // The whole value, or a name in it: ${vault.x}, $(env:X), #{x}, %{x}. The patterns are long enough not to match
  // random secrets.
  /^[$#%~@]\{[^{}]*\}#?$|^\$\([^()]*\)$|^\$\[[^[\]]*\]$/,
  /[$#%]\{\s*(?:[A-Z][A-Z0-9_.]{2,}|[a-z][a-z0-9_.:/|-]{2,}|[a-z]+(?:[A-Z][a-z]+)+)\s*\}/,
  // {{ .Values.x }}, {% x %}, <%= x %>, [[ x ]]
  /\{\{[\s.\w"'$#-].*[\s\w"')-]\}\}|\{%.*%\}|<%.*%>|<\?.*\?>|^\[\[.*\]\]$/s,
  // The whole value in brackets: <YOUR_SECRET>, [secret], {env:NAME}, {$NAME}
  /^<[A-Za-z][\w .:-]*>$|^\[[A-Za-z][\w .:-]*\]$|^\{[$\w][\w.:$/ -]*\}$/,
  // Encrypted or encoded by a tool: ENC[…] and DEC(…), {cipher}…, {noop}…, Ansible, PEM, AWS KMS
  /^(?:ENC|DEC|CRYPT|SOPS|PKCS7|GPG|AGE|KMS|ENV|SECRET|VAULT)[[({]/i,
  /^\{(?:[a-z]{3}[\w@.-]*|[A-Z]{3}[A-Z0-9@._-]*)\}/,
  /^\$ANSIBLE_VAULT|^-----BEGIN|^AQICAH|^![A-Za-z]\w*\s/,
  // A function of a cloud: @Microsoft.KeyVault(…)
  /^@[A-Za-z]+\.[A-Za-z]+\(/,
  // A variable: $NAME, %NAME%, env:NAME, env.NAME, process.env.NAME, __NAME__, @NAME@
  /^\$[A-Z][A-Z0-9_]*$|^\$[a-z]+(?:[_.][a-z]+)+$|^%[A-Za-z_]\w*%$|^__[A-Za-z]\w*__$|^@@?(?:[A-Z][A-Z0-9_.]*|[a-z]+(?:[._-][a-z]+)*)@@?$/,
  /^(?:os\.|process\.)?(?:env|environ|getenv)\b[.:[(]/i,
  /^(?:var|data|local|module|secrets|vars|values)\.[A-Za-z_][\w.[\]"-]*$/,
  // A reference: vault:secret/x#y, ssm:/x, aws-ssm:x, op://x, gcpsm://x, https://x.vault.azure.net/…, arn:aws:…, projects/x/secrets/y
  /^(?:ref\+)?(?:vault|ssm|(?:aws|gcp|az|azure|google)(?:-[\w-]+|sm|ssm|keyvault)?|secretsmanager|secrets?|secretref|keyvault|kv|k8s|kubernetes|conjur|doppler|infisical|bitwarden|bws?|keeper|akeyless|sops|file|env|consul|param(?:eter)?|configmap):/i,
  /^[A-Za-z][A-Za-z0-9+.-]*:\/\/|^arn:|^projects\/[^/]+\/secrets\//,
  // A file: /run/secrets/x
  /^\/(?:run|var|etc|mnt|opt|home|vault|secrets?|usr)\/|^[A-Za-z]:\\/,
];

/** Phrases that mark a secret to be filled in, in lower case and without punctuation. */
const words =
  /changeme|changethis|changeit|replaceme|replacethis|replacewith|insertyour|enteryour|putyour|your(?:own)?(?:api|app|client|oauth|shared|super)?(?:secret|password|key)|placeholder|redacted|tobereplaced|tobefilled|notarealsecret|dummysecret|examplesecret|secretgoeshere|secrethere/;
const wholeWords =
  /^(?:todo|tbd|fixme|none|null|nil|undefined|empty|unset|unknown|na|notset|secret|clientsecret|password|example|dummy)$/;

/**
 * Hashes with a recognizable format: crypt, PHC strings, LDAP, Django, Werkzeug, PostgreSQL, MySQL, ASP.NET Identity.
 */
const hashes: readonly RegExp[] = [
  /^\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|md5|sha\d*|bcrypt(?:-sha256)?|pbkdf2[\w-]*|argon2\w*|scrypt|s0|S|P|H)\$/,
  /^\{(?:S?MD5|S?SHA\d*|PBKDF2[\w-]*|b?crypt|argon2\w*|scrypt|ldap|SHA-?\d+)[\w@.-]*\}/i,
  /^(?:pbkdf2|bcrypt|argon2\w*|scrypt|s?sha-?\d*|md5|hmac)(?:[_-][\w-]*)?[:$(]/i,
  /^SCRAM-SHA-\d+\$|^md5[0-9a-f]{32}$|^\*[0-9A-F]{40}$|^AQAAAA[EI]AA/,
];

/**
 * Lengths of SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512 in hexadecimal. Excludes 32 digits, because many servers
 * generate such secrets.
 */
const hexLengths = [40, 56, 64, 96, 128];
/**
 * Lengths of MD5, SHA-1, SHA-256 and SHA-512 in padded base64. Unpadded values are excluded, because many servers
 * generate such secrets.
 */
const base64Lengths = [24, 28, 44, 88];

/** Returns why a value cannot be a secret, or undefined if it can be one. */
export function recognizeNotASecret(given: string): NotASecret | undefined {
  const value = given.trim().replace(/^(["'])(.*)\1$/s, '$2');
  if (masks.some((mask) => mask.test(value))) return 'mask';
  if (hashes.some((hash) => hash.test(value))) return 'hash';
  if (placeholders.some((placeholder) => placeholder.test(value))) return 'placeholder';
  const text = value.toLowerCase().replace(/[^a-z0-9]/g, '');
  if (words.test(text) || wholeWords.test(text)) return 'placeholder';
  return isHashLike(value) ? 'hash_like' : undefined;
}

function isHashLike(value: string): boolean {
  if (/^(?:[0-9a-f]+|[0-9A-F]+)$/.test(value)) return hexLengths.includes(value.length);
  return /^[A-Za-z0-9+/_-]+={1,2}$/.test(value) && base64Lengths.includes(value.length);
}
