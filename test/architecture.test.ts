import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const text = readFileSync('ARCHITECTURE.md', 'utf8');

/** Returns the files and folders that the document's layout lists, derived from its indentation. */
function documented(): string[] {
  const [, tree = ''] = /```\n([\s\S]*?)```/.exec(text) ?? [];
  const path: string[] = [];
  return tree.split('\n').map((line) => {
    const [, indent = '', name = ''] = /^( *)(\S*)/.exec(line) ?? [];
    path.length = indent.length / 2;
    path.push(name.replace(/\/$/, ''));
    return join(...path);
  });
}

const files = readdirSync('src', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));

test('ARCHITECTURE.md lists every folder of src, and none that is not there', () => {
  const folders = new Set(files.map(dirname).filter((folder) => folder !== 'src'));
  const listed = documented().filter((path) => path.startsWith('src/') && !path.endsWith('.ts'));
  expect(listed.sort()).toEqual([...folders].sort());
});

test('ARCHITECTURE.md lists the files at the root of src, and these are all', () => {
  const root = ['cli', 'config', 'core', 'errors', 'main', 'server'].map((name) => `src/${name}.ts`);
  expect(files.filter((file) => dirname(file) === 'src').sort()).toEqual(root);
  expect(
    documented()
      .filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
      .sort(),
  ).toEqual(root);
});

test('no file of src has more than 300 lines', () => {
  const long = files.filter((file) => readFileSync(file, 'utf8').trimEnd().split('\n').length > 300);
  expect(long).toEqual([]);
});

// Names that are still used twice. The list may only get shorter: remove a name as soon as it is unique.
const knownDuplicates = [
  'access-token.ts',
  'app.ts',
  'authorization-token.ts',
  'client-certificate.ts',
  'client-keys.ts',
  'console.ts',
  'dpop-nonce.ts',
  'dpop-proof.ts',
  'health.ts',
  'migrate.ts',
  'moment.ts',
  'page.ts',
  'read-form.ts',
  'rotate-root-key.ts',
  'signing-keys.ts',
];

test('no two files of src have the same name', () => {
  const names = files.map((file) => basename(file));
  const duplicates = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  expect([...duplicates].filter((name) => !knownDuplicates.includes(name))).toEqual([]);
});

test('the documents link only to files that exist', () => {
  const links = ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md'].flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link ?? ''),
  );
  for (const link of links) expect(() => readFileSync(link)).not.toThrow();
});
