import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Context } from 'koa';

/** Files of the folder assets/, which the build copies to the same place in dist/. */
const style = readAsset('console.css');
const script = readAsset('console.js');

/** Paths contain a hash of the content, so browsers may cache the files without expiry. */
export const stylePath = `/console/assets/console.${hashOf(style)}.css`;
export const scriptPath = `/console/assets/console.${hashOf(script)}.js`;

const assets = new Map([
  [stylePath, { type: 'text/css; charset=utf-8', text: style }],
  [scriptPath, { type: 'text/javascript; charset=utf-8', text: script }],
]);

export function serveAsset(ctx: Context): void {
  const asset = assets.get(ctx.path);
  // The path contains the hash of another version. Pages of this version link only to the current files.
  if (!asset) ctx.throw(404);
  ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
  ctx.set('Content-Type', asset.type);
  ctx.body = asset.text;
}

function readAsset(name: string): string {
  return readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
