import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const text = readFileSync('ARCHITECTURE.md', 'utf8');

/** Returns the files that the document's tree lists below `src/`, derived from its indentation. */
function documented(): string[] {
  const [, tree = ''] = /```\n([\s\S]*?)```/.exec(text) ?? [];
  const files: string[] = [];
  const path: string[] = [];
  for (const line of tree.split('\n')) {
    const [, indent = '', name = ''] = /^( *)(\S+)/.exec(line) ?? [];
    path.length = indent.length / 2;
    if (name.endsWith('/')) path.push(name.slice(0, -1));
    else if (name && path[0] === 'src') files.push(join(...path, name));
  }
  return files;
}

function actual(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? actual(join(directory, entry.name)) : [join(directory, entry.name)],
  );
}

test('ARCHITECTURE.md names every source file, and none that is not there', () => {
  expect(documented().sort()).toEqual(actual('src').sort());
});

test('the documents say nothing of files that are not there', () => {
  const links = ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md'].flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link ?? ''),
  );
  for (const link of links) expect(() => readFileSync(link)).not.toThrow();
});
