/**
 * Builds the program into dist/: dist/main.js, the chunks that its commands load, and the files that it reads. One file
 * holds many modules, so that a command starts in half of the time. The packages stay in node_modules.
 */
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const [source, target] = [join(root, 'src'), join(root, 'dist')];
/** Folders with files that the program reads while it runs, at the same place in src/ and dist/. */
const readFolders = ['admin/console/assets', 'admin/console/languages'];

/**
 * Keeps the meaning of `import.meta.url` in a module that becomes part of a chunk: the module's own place, as if each
 * module of src/ were a file in dist/. Chunks lie directly in dist/.
 */
const ownPlaces: Plugin = {
  name: 'own-places',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const place = relative(source, path).replace(/\.ts$/, '.js');
      const contents = text.replaceAll('import.meta.url', `new URL('./${place}', import.meta.url).href`);
      return { contents, loader: 'ts' };
    });
  },
};

const { metafile } = await build({
  entryPoints: ['main.ts', 'audit/audit-rows-worker.ts'].map((file) => join(source, file)),
  outbase: source,
  outdir: target,
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // For `node --enable-source-maps`, whose stack traces then name the files of src/.
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  plugins: [ownPlaces],
});

// Chunks have names of their own in each version. Remove those of earlier builds.
const written = new Set(Object.keys(metafile.outputs).map((file) => basename(file)));
for (const name of readdirSync(target)) {
  if (/\.js(\.map)?$/.test(name) && !written.has(name)) rmSync(join(target, name));
}
for (const folder of readFolders) {
  const filter = (file: string) => !file.endsWith('.ts');
  cpSync(join(source, folder), join(target, folder), { recursive: true, filter });
}
