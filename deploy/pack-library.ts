/**
 * Packs only the library `keyturn/resource-server` as the package `keyturn`. Its only dependency is jose, and it runs on
 * older versions of Node.js than the server. Usage: node deploy/pack-library.ts [DIRECTORY]
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = resolve(process.argv[2] ?? '.');
const work = mkdtempSync(join(tmpdir(), 'keyturn-library-'));
try {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['--project', join(root, 'tsconfig.library.json'), '--outDir', join(work, 'dist')];
  execFileSync(process.execPath, [tsc, ...options], { stdio: 'inherit' });
  const { name, version, license, type, exports, dependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  const manifest = {
    name,
    version,
    description: 'Validates the access tokens of a Keyturn server in APIs that it protects',
    license,
    type,
    engines: { node: '>=20.12' },
    exports,
    files: ['dist'],
    dependencies: { jose: dependencies.jose },
  };
  writeFileSync(join(work, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  cpSync(join(root, 'LICENSE'), join(work, 'LICENSE'));
  cpSync(join(root, 'docs/resource-servers.md'), join(work, 'README.md'));
  const packed = execFileSync('npm', ['pack', '--silent'], { cwd: work, encoding: 'utf8' }).trim();
  const file = join(target, packed.replace(name, `${name}-resource-server`));
  cpSync(join(work, packed), file);
  console.log(file);
} finally {
  rmSync(work, { recursive: true });
}
