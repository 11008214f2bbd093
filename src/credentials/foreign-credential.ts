import { slowHashFormats } from './slow-hash.ts';

/** Prefixes of Keyturn's own credentials, and of values that scanners for leaked secrets take for them. */
const ownPrefix = /^kt[isako]_/;
/**
 * Excludes quotes, spaces and other characters of a shell, so that an ID is one word there and in a log. HTTP Basic splits
 * at the first colon (RFC 7617 §2), so an ID with a colon must be form-encoded there (RFC 6749 §2.3.1).
 */
const foreignIdPattern = /^[A-Za-z0-9][A-Za-z0-9._~@+%:/=-]{2,127}$/;
/** Visible ASCII characters (RFC 6749 Appendix A.2 VSCHAR) without the space. */
const foreignSecretPattern = /^[\x21-\x7e]{16,256}$/;
const reasons: Record<NotASecret, string> = {
  mask: 'the secret is masked: export the clients with their secrets',
  placeholder: 'the secret is a placeholder: replace it with the real secret',
  hash: `the secret is a hash in a format that cannot be verified here; ${slowHashFormats} can`,
  hash_like: 'the secret looks like a hash; if the client sends exactly this text, use --accept-hash-like',
};

const minimumBits = 80;
/** Bits for a word from a dictionary, about as much as two random characters. */
const bitsPerWord = 10;
const shortestRepeat = 3;
const commonWords =
  /password|passwort|passw0rd|secret|client|admin|change-?_?me|letmein|welcome|example|default|oauth|token|qwerty|qwertz|asdfgh|zxcvbn|test|demo|prod|acme|20\d\d/gi;

/**
 * Returns whether a value can be the Client ID of an imported client. Keyturn's own prefixes are excluded, and `import`,
 * because `/clients/import` of the admin API is no client.
 */
export function isForeignClientId(value: string): boolean {
  return value.length <= 128 && foreignIdPattern.test(value) && !ownPrefix.test(value) && value !== 'import';
}

/**
 * Returns whether a value can be the secret of an imported client. Keyturn's own prefixes are excluded, so that values
 * with them always have a checksum.
 */
export function isForeignSecret(value: string): boolean {
  return value.length <= 256 && foreignSecretPattern.test(value) && !ownPrefix.test(value);
}

/**
 * Returns why a secret from another server cannot be kept, without any part of the secret, or undefined if it can be
 * kept.
 * @param known strings of the client that are not secret, such as its Client ID and name.
 * @param acceptHashLike whether a value with the length and alphabet of a bare hash is accepted as a secret.
 */
export function weaknessOf(secret: string, known: readonly string[], acceptHashLike: boolean): string | undefined {
  const kind = recognizeNotASecret(secret);
  if (kind && !(kind === 'hash_like' && acceptHashLike)) return reasons[kind];
  if (ownPrefix.test(secret)) return 'the secret begins with a prefix that Keyturn uses';
  if (secret.length < 16 || secret.length > 256) return 'the secret must have 16 to 256 characters';
  if (!isForeignSecret(secret)) return 'the secret must consist of printable ASCII characters without spaces';
  const bits = Math.floor(estimateBits(secret, known));
  return bits < minimumBits
    ? `the secret is too easy to guess: about ${bits} bits of entropy, but ${minimumBits} are required`
    : undefined;
}

/**
 * Estimates a lower bound of a secret's entropy: the bits per character (from the kinds of characters that occur, and
 * how unevenly) times the number of unpredictable characters. Known strings and common words count as one word each;
 * characters that continue a repetition (`abcabc`) or a run (`aaaa`, `4321`) count as zero.
 */
function estimateBits(secret: string, known: readonly string[]): number {
  let words = 0;
  let rest = secret;
  const texts = known.flatMap((text) => [text, ...text.split(/[^A-Za-z0-9]+/)]).filter((text) => text.length > 3);
  for (const text of texts.sort((one, other) => other.length - one.length)) {
    // Not a regular expression, which would be compiled for each client of an import.
    const [wanted, lower] = [text.toLowerCase(), rest.toLowerCase()];
    for (
      let at = lower.lastIndexOf(wanted);
      at !== -1;
      at = at < wanted.length ? -1 : lower.lastIndexOf(wanted, at - wanted.length)
    ) {
      words += 1;
      rest = rest.slice(0, at) + rest.slice(at + wanted.length);
    }
  }
  rest = rest.replace(commonWords, () => {
    words += 1;
    return '';
  });
  return words * bitsPerWord + countNews(rest.toLowerCase()) * bitsPerCharacter(rest);
}

/** Returns the number of characters that do not follow from those before them. */
function countNews(text: string): number {
  let news = 0;
  for (let at = 0; at < text.length; at++) {
    const isRepeat = at >= shortestRepeat && text.slice(0, at).includes(text.slice(at - shortestRepeat + 1, at + 1));
    const step = text.charCodeAt(at) - text.charCodeAt(at - 1);
    const isRun = at >= 2 && Math.abs(step) <= 1 && step === text.charCodeAt(at - 1) - text.charCodeAt(at - 2);
    if (!isRepeat && !isRun) news += 1;
  }
  return news;
}

function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let observed = 0;
  for (const count of counts.values()) observed -= (count / text.length) * Math.log2(count / text.length);
  return Math.min(observed, Math.log2(alphabetSize(text)));
}

function alphabetSize(text: string): number {
  if (/^[0-9a-f-]*$|^[0-9A-F-]*$/.test(text)) return /^[0-9-]*$/.test(text) ? 10 : 16;
  const kinds = [
    [/[0-9]/, 10],
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[^0-9A-Za-z]/, 32],
  ] as const;
  return kinds.reduce((size, [kind, adds]) => size + (kind.test(text) ? adds : 0), 0);
}

/**
 * A value that exports and templates contain in place of a secret. `mask`, `placeholder` and `hash` can never be one.
 * `hash_like` has the length and the alphabet of a bare hash, which some random secrets have too
 * (`openssl rand -base64 32`), so an operator may accept it.
 */
type NotASecret = 'mask' | 'placeholder' | 'hash' | 'hash_like';

const masks = [/^[*•●·.xX_#-]+$/, /^[([<]?(?:hidden|masked|redacted|sensitive(?: value)?|filtered|removed)[)\]>]?$/i];

const placeholders: readonly RegExp[] = [
  // The whole value, or a name in it: ${vault.x}, $(env:X), #{x}, %{x}. The patterns are long enough not to match
  // random secrets.
  /^[$#%~@]\{[^{}]*\}#?$|^[$@]\([^()]*\)$|^\$\[[^[\]]*\]$|^%\([\w.]+\)s$|^\$(?:env|Env|ENV):\w+$/,
  /[$#%]\{\s*(?:[A-Z][A-Z0-9_.]{2,}|[a-z][a-z0-9_.:/|-]{2,}|[a-z]+(?:[A-Z][a-z]+)+)\s*\}/,
  // {{ .Values.x }}, {% x %}, <%= x %>, [[ x ]], ((x)), <<x>>
  /\{\{[\s.\w"'$#-].*[\s\w"')-]\}\}|\{%.*%\}|<%.*%>|<\?.*\?>|^\[\[.*\]\]$|^\(\(.*\)\)$|^<<.*>>$/s,
  // The whole value in brackets: <YOUR_SECRET>, <path:secret/data/x#y>, [secret], {env:NAME}, {$NAME}
  /^<[A-Za-z][\w .:-]*>$|^<[A-Za-z]+:[^<>]*>$|^\[[A-Za-z][\w .:-]*(?:\(.*\))?\]$|^\{[$\w][\w.:$/ -]*\}$/,
  // Encrypted or encoded by a tool: ENC[…] and DEC(…), encrypted:…, {cipher}…, {noop}…, Ansible, PEM
  /^(?:ENC(?:RYPT(?:ED)?)?|DEC|CRYPT|CIPHER|SEALED|SOPS|PKCS7|GPG|AGE|KMS|ENV|SECRET|VAULT)[[({]/i,
  /^(?:enc(?:rypted|v\d)?|sealed(?:-?secret)?|crypt|cipher(?:text)?|secure|protected|aes(?:-?\d{3})?(?:-?(?:gcm|cbc))?|rsa|dpapi|gpg|pgp|age|kms|v\d:(?:sealed|enc\w*)):/i,
  // The first bytes of what AWS and Google KMS, Windows DPAPI, ASP.NET data protection, Fernet, OpenSSL, age and a JWE encrypt
  /^(?:AQICAH|AQECAH|CiQA|AQAAANCMnd8B|01000000d08c9ddf|CfDJ8|gAAAAAB|U2FsdGVkX1|YWdlLWVuY3J5cHRpb24|age-encryption\.org|age1|eyJ[\w-]*\.)/,
  /^\{(?:[a-z]{3}[\w@.-]*|[A-Z]{3}[A-Z0-9@._-]*)\}/,
  /^\$ANSIBLE_VAULT|^-----BEGIN|^![A-Za-z]\w*\s/,
  // A function of a cloud: @Microsoft.KeyVault(…)
  /^@[A-Za-z]+\.[A-Za-z]+\(/,
  // A variable: NAME_OF_IT, $NAME, %NAME%, env:NAME, env.NAME, process.env.NAME, __NAME__, @NAME@, aws_secret.name.value
  /^[A-Z][A-Z0-9]*(?:_[A-Z][A-Z0-9]*)+$|^[a-z]+(?:_[a-z]+)+\.[a-z]\w*\.[a-z]\w*$/,
  /^\$[A-Z][A-Z0-9_]*$|^\$[a-z]+(?:[_.][a-z]+)+$|^%[A-Za-z_]\w*%$|^__[A-Za-z]\w*__$|^@@?(?:[A-Z][A-Z0-9_.]*|[a-z]+(?:[._-][a-z]+)*)@@?$/,
  /^(?:os\.|process\.)?(?:env|environ|getenv)\b[.:[(]/i,
  /^(?:var|data|local|module|secrets|vars|values)\.[A-Za-z_][\w.[\]"-]*$/,
  // A reference: vault:secret/x#y, ssm:/x, aws-ssm:x, op://x, gcpsm://x, https://x.vault.azure.net/…, keepass:/x/y, arn:aws:…, projects/x/secrets/y
  /^(?:ref\+)?(?:vault|ssm|(?:aws|gcp|az|azure|google)(?:[_-][\w-]+|sm|ssm|kv|keyvault)?|secretsmanager|secrets?|secret(?:key)?ref|configmap(?:key)?ref|keyvault|akv|kv|k8s|kubernetes|conjur|doppler|infisical|bitwarden|bws?|1p(?:assword)?|onepassword|lastpass|lpass|pass|keyring|keychain|hashi(?:corp)?-?vault|cmd|exec|command|keeper|akeyless|sops|file|env|consul|param(?:eter)?|configmap):/i,
  /^[A-Za-z][A-Za-z0-9+.-]*:\/\/|^[a-z]{3}[a-z-]*:\/[A-Za-z][\w.-]*\/|^arn:|^projects\/[^/]+\/secrets\//,
  // A file: /run/secrets/x
  /^\/(?:run|var|etc|mnt|opt|home|vault|secrets?|usr)\/|^[A-Za-z]:\\/,
];

/** Phrases that mark a secret to be filled in, in lower case and without punctuation. */
const words =
  /changeme|changethis|changeit|replaceme|replacethis|replacewith|insertyour|enteryour|putyour|your(?:own)?(?:api|app|client|oauth|shared|super)?(?:secret|password|key)|placeholder|redacted|tobereplaced|tobefilled|notexported|notavailable|sensitivevalue|notarealsecret|dummysecret|examplesecret|secretgoeshere|secrethere/;
const wholeWords =
  /^(?:todo|tbd|fixme|none|null|nil|undefined|empty|unset|unknown|na|notset|secret|clientsecret|password|example|dummy)$/;

/**
 * Hashes with a recognizable format: crypt, PHC strings, LDAP, Django, Werkzeug, PostgreSQL, MySQL, ASP.NET Identity.
 */
const hashes: readonly RegExp[] = [
  /^\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|md5|sha\d*|bcrypt(?:-sha256)?|pbkdf2[\w-]*|argon2\w*|scrypt|s0|S|P|H)\$/,
  /^\{(?:S?MD5|S?SHA\d*|PBKDF2[\w-]*|b?crypt|argon2\w*|scrypt|ldap|SHA-?\d+)[\w@.-]*\}/i,
  /^(?:grub\.)?(?:pbkdf2|bcrypt|argon2\w*|scrypt|s?sha-?\d*|blake\d\w*|md5|hmac)(?:[_.-][\w.-]*)?[:$(]|^grub\.pbkdf2\./i,
  // Subresource Integrity, and iterations:salt:hash in hexadecimal
  /^sha-?\d{1,3}-[A-Za-z0-9+/]+={0,2}$|^\d{3,7}:[0-9a-f]{16,}:[0-9a-f]{32,}$/i,
  /^SCRAM-SHA-\d+\$|^md5[0-9a-f]{32}$|^\*[0-9A-F]{40}$|^AQAAAA[EI]AA/,
];

/**
 * Lengths of SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512 in hexadecimal. Excludes 32 digits, because many servers
 * generate such secrets.
 */
const hexLengths = [40, 56, 64, 96, 128];
/**
 * Lengths of MD5, SHA-1, SHA-256 and SHA-512 in padded base64. Unpadded values are recognized only if they have a
 * character that base64url does not have, because many servers generate secrets of these lengths in base64url.
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
  // Digits with 0x, or pairs of digits between colons, as tools print hashes.
  if (/^0x[0-9a-f]{32,}$/i.test(value) || /^(?:[0-9a-f]{2}:){15,}[0-9a-f]{2}$/i.test(value)) return true;
  // A salt can stand before or after the hash.
  if (value.split(/[:$]/).some((part) => isHex(part) && hexLengths.includes(part.length))) return true;
  const isUnpadded = /^[A-Za-z0-9+/]*$/.test(value) && /[+/]/.test(value);
  const base64 = isUnpadded ? value.padEnd(Math.ceil(value.length / 4) * 4, '=') : value;
  return /^[A-Za-z0-9+/_-]+={1,2}$/.test(base64) && base64Lengths.includes(base64.length);
}

function isHex(text: string): boolean {
  return /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(text);
}
