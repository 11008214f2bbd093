/** The documents as a site. Run `npm run docs` in the project's folder. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

/** Returns the path of a file of an installed module. */
const here = (path) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

const root = new URL('../../../', import.meta.url);

/** Reads the sections and links of docs/README.md, so that the sidebar is the index. */
function readIndex() {
  const text = readFileSync(new URL('docs/README.md', root), 'utf8').replaceAll(/\n +/g, ' ');
  const sections = [];
  for (const line of text.split('\n')) {
    const title = line.match(/^\*\*(.*)\*\*$/)?.[1];
    if (title) sections.push({ text: title, items: [] });
    const links = /^\d+\. /.test(line) ? [...line.matchAll(/\[([^\]]*)\]\(([^)]*)\)/g)] : [];
    for (const [, name, link] of links) sections.at(-1)?.items.push({ text: name, link: pathOf(link) });
  }
  return sections;
}

/** Returns the path in the site of a link in docs/README.md. */
function pathOf(link) {
  return new URL(link, 'https://site/docs/').pathname.replace(/\.md$/, '').replace(/^\/README$/, '/');
}

export default defineConfig({
  title: 'Keyturn',
  description: 'An OAuth 2.0 server for APIs that machines call, which rotates their secrets without breaking anybody',
  srcDir: '../..',
  srcExclude: ['**/node_modules/**', 'test/**', 'bench/peers/**', 'dist/**', '.github/**', '.ci/**'],
  outDir: './dist',
  rewrites: { 'README.md': 'index.md' },
  cleanUrls: true,
  markdown: {
    config: (markdown) => {
      markdown.core.ruler.push('links', ({ tokens }) => {
        for (const { children } of tokens)
          for (const token of children ?? []) {
            // Vue would read {{…}} in code as an expression.
            if (token.type === 'code_inline') token.attrSet('v-pre', '');
            const href = token.type === 'link_open' ? token.attrGet('href') : undefined;
            // The README is the first page of the site.
            if (href) token.attrSet('href', href.replace(/^\.\.\/README\.md/, '../index.md'));
          }
      });
    },
  },
  ignoreDeadLinks: [
    /LICENSE$/,
    /^(\.\.?\/)+(deploy|src|test|sql|examples|docs\/examples)\//,
    /\.(yaml|yml|json|js|ts|sh)$/,
  ],
  vite: {
    // The pages are outside this folder, where Node's resolution does not find its modules.
    resolve: {
      alias: [
        { find: /^vue$/, replacement: here('vue/dist/vue.runtime.esm-bundler.js') },
        { find: /^vue\/server-renderer$/, replacement: here('vue/server-renderer/index.mjs') },
      ],
    },
  },
  themeConfig: { search: { provider: 'local' }, sidebar: readIndex(), outline: [2, 3] },
});
