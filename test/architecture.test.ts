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

/** Returns the rank of each file and folder at the root of src in the document's list of directions. */
function ranks(): Map<string, number> {
  const [, list = ''] = /folders further down:\n\n```\n([\s\S]*?)```/.exec(text) ?? [];
  const rows = list.trim().split('\n');
  return new Map(rows.flatMap((row, rank) => row.split(', ').map((name) => [name, rank] as const)));
}

/** Returns the modules that a file imports at run time; imports of types alone are erased. */
function runtimeImports(file: string): string[] {
  const code = readFileSync(file, 'utf8');
  const statements = [...code.matchAll(/^(?:import|export) (?!type )([^;']*?) ?(?:from )?'(\.[^']+)';/gm)];
  const loaded = statements.filter(([, clause = '']) => !/^\{(?:\s*type [^,}]+,?)*\s*\}$/.test(clause));
  const dynamic = [...code.matchAll(/\bimport\(\s*'(\.[^']+)'/g)].map(([, target = '']) => target);
  return [...loaded.map(([, , target = '']) => target), ...dynamic].map((target) => join(dirname(file), target));
}

test('each folder of src imports only folders that ARCHITECTURE.md lists further down', () => {
  const rankOf = ranks();
  const top = (file: string) => (file.split('/')[1] ?? '').replace(/\.ts$/, '');
  expect([...rankOf.keys()].sort()).toEqual([...new Set(files.map(top))].sort());
  const upward = files.flatMap((file) =>
    runtimeImports(file)
      .filter((target) => top(target) !== top(file) && (rankOf.get(top(target)) ?? 0) <= (rankOf.get(top(file)) ?? 0))
      .map((target) => `${file} imports ${target}`),
  );
  expect(upward).toEqual([]);
});

/** Names that read what an earlier file has found out, and errors: a reader need not open their file again for them. */
const known = /^(callerOf|codeOf|countHeaders|formOf|hmacSha256|presentedSecretOf|InvalidClient)$/;

test('a token request is answered by at most 20 files, each imported by one before it, and none is entered again', () => {
  const [, list = ''] = /order and each once\.[\s\S]*?```\n([\s\S]*?)```/.exec(text) ?? [];
  const walk = list.trim().split('\n');
  expect(walk.length).toBeGreaterThan(10);
  expect(walk.length).toBeLessThanOrEqual(20);
  expect(new Set(walk).size).toBe(walk.length);
  const importsOf = (file: string) =>
    [...readFileSync(join('src', file), 'utf8').matchAll(/^import (type )?\{([^}]*)\} from '(\.[^']+)';/gm)].map(
      ([, isType, names = '', target = '']) => ({
        target: join(dirname(file), target),
        names: isType ? [] : names.split(',').flatMap((name) => (/^\s*type /.test(name) ? [] : name.trim() || [])),
      }),
    );
  for (const [index, file] of walk.entries()) {
    const before = walk.slice(0, index);
    if (index > 0)
      expect(before.filter((each) => importsOf(each).some(({ target }) => target === file))).not.toEqual([]);
    const again = importsOf(file).filter(({ target }) => before.includes(target));
    expect([file, again.flatMap(({ names }) => names).filter((name) => !known.test(name))]).toEqual([file, []]);
  }
});

test('only src/internals/ reaches into private members of a dependency', () => {
  const casts = /as unknown as (?:\{|\w*Inner|Record<symbol)|\bas \{ _|\['_\w+'\]\s*(?:as|\))|pino\.symbols/;
  const reaching = files.filter((file) => !file.startsWith('src/internals/') && casts.test(readFileSync(file, 'utf8')));
  expect(reaching).toEqual([]);
});

test('no file of src has more than 300 lines', () => {
  // A catalogue has all texts of a language.
  const sources = files.filter((file) => !file.endsWith('.json'));
  const long = sources.filter((file) => readFileSync(file, 'utf8').trimEnd().split('\n').length > 300);
  expect(long).toEqual([]);
});

function repeatedNames(paths: readonly string[]): string[] {
  const names = paths.map((path) => basename(path));
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}

test('no two files of src have the same name', () => {
  expect(repeatedNames(files)).toEqual([]);
});

test('no two files of test have the same name', () => {
  expect(repeatedNames(readdirSync('test', { recursive: true, encoding: 'utf8' }))).toEqual([]);
});

test('documents, comments and tests name only source files that exist', () => {
  const textsOf = (folder: string, ending: string, recursive = false) =>
    readdirSync(folder, { recursive, encoding: 'utf8' })
      .filter((name) => name.endsWith(ending))
      .map((name) => readFileSync(join(folder, name), 'utf8'));
  const documents = ['.', 'docs', 'docs/decisions'].flatMap((folder) => textsOf(folder, '.md'));
  const comments = textsOf('src', '.ts', true).flatMap((code) => code.match(/^ *(\/\*\*|\*|\/\/).*$/gm) ?? []);
  const paths = ['test', 'bench', 'deploy'].flatMap(
    (folder) =>
      textsOf(folder, '.ts', true)
        .join('\n')
        .match(/\bsrc\/[\w/-]+\.ts\b/g) ?? [],
  );
  const named = [...documents, ...comments, ...paths].flatMap(
    (part) => part.match(/(?<![…\w/-])\w[\w/-]*(?:\.\w+)*\.ts\b/g) ?? [],
  );
  const known = ['src', 'test', 'bench', 'deploy'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `/${folder}/${name}`),
  );
  expect(named.filter((name) => !known.some((path) => path.endsWith(`/${name}`)))).toEqual([]);
});

test('the documents link only to files that exist', () => {
  const links = ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md'].flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link ?? ''),
  );
  for (const link of links) expect(() => readFileSync(link)).not.toThrow();
});
