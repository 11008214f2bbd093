import { registerHooks } from 'node:module';

/** Private members that src/internals/ uses, by file, as the words that name them in its code. */
const members: Readonly<Record<string, RegExp>> = {
  'node-http.ts': /\b(_consuming|_readableState|_header|_keepAliveTimeout|_httpMessage)\b/g,
  'ioredis.ts': /(?<!node:)\b(setReplyContext|stream)\b(?=['?; }])/g,
  'pg.ts': /\b(processID|stream)\b(?=[?;])/g,
};

/**
 * Makes src/internals/ look for members that no dependency has, as if an upgrade had moved them. A process imports this
 * file at its start.
 */
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const [, file = ''] = /\/src\/internals\/([\w-]+\.ts)$/.exec(url) ?? [];
    const names = members[file];
    return names ? { ...loaded, source: String(loaded.source).replace(names, '$1Moved') } : loaded;
  },
});

const { canReadPlainly, canWritePlainly } = await import('../src/internals/node-http.ts');
const { canSendRaw } = await import('../src/internals/ioredis.ts');
if (!canReadPlainly && !canWritePlainly && !canSendRaw) {
  console.log('moved the members of node-http.ts, ioredis.ts and pg.ts');
}
