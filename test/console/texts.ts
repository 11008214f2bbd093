import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads the texts that pages show out of the source code. */

const literal = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g;

/** Returns the value of a string literal. */
function readLiteral(source: string): string {
  const inside = source.slice(1, -1).replaceAll("\\'", "'").replaceAll('\\"', '"').replaceAll('\\`', '`');
  return JSON.parse(`"${inside.replaceAll('"', '\\"')}"`) as string;
}

/** Returns the content of the files of a folder below `src`, by their paths. */
function sourcesIn(folder: string): Map<string, string> {
  const entries = readdirSync(join('src', folder), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts'));
  return new Map(
    paths.map(({ parentPath, name }) => join(parentPath, name)).map((path) => [path, readFileSync(path, 'utf8')]),
  );
}

/** Returns every text that is given to `t`, `rich` or `msg`. */
export function textsOfPages(): Set<string> {
  const call = new RegExp(`\\b(?:t|rich|msg)\\(\\s*(${literal.source})`, 'g');
  const sources = [...sourcesIn('admin/console').values(), ...sourcesIn('admin/portal').values()];
  return new Set(sources.flatMap((code) => [...code.matchAll(call)].map(([, text = '']) => readLiteral(text))));
}

/** Folders whose errors pages show. */
const folders = [
  'access-keys',
  'admin/portal',
  'admin/routes',
  'approvals',
  'clients',
  'contacts',
  'handover',
  'identity-providers',
  'invitations',
  'mail',
  'notices',
  'operator-tokens',
  'organizations',
  'passkeys',
  'policies',
  'regeneration',
  'secrets',
  'sessions',
  'tokens',
  'trusts',
  'webhooks',
];

/** Files whose errors only programs and the command line get. */
const withoutPages =
  /rotate-own-credential|import-|imported-|foreign-|revoke-own-token|issue-access-token|store-first-use|missing-scopes|portal-session-routes/;

/** Begin of an error, or of the reason why a notice is not delivered. */
const error = /\b(?:new (?:InvalidInput|Conflict|Forbidden)|invalidField)\(|\breason: (?=['`])/g;

/** Returns the texts of errors, with `7` in place of each value. */
export function textsOfErrors(): Map<string, string> {
  const found = new Map<string, string>();
  const sources = folders.flatMap((folder) => [...sourcesIn(folder)]).filter(([path]) => !withoutPages.test(path));
  for (const [path, code] of sources) {
    for (const { index } of code.matchAll(error)) {
      const end = /\);\n|\),?\n\n| \}|;\n/.exec(code.slice(index))?.index ?? 0;
      for (const [text] of code.slice(index, index + end).matchAll(literal)) {
        const plain = text.replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '7');
        if (/^.[^ ]+ [^ ]+ /.test(plain)) found.set(readLiteral(plain), path);
      }
    }
  }
  return found;
}
