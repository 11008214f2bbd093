import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { textsOfPages } from '../test/console/texts.ts';

/**
 * Adds the texts of the pages to every catalogue, with an empty translation, and removes those that are no longer used:
 * `npm run texts`.
 */

const folder = 'src/admin/console/languages';

for (const name of readdirSync(folder).filter((each) => each.endsWith('.json'))) {
  const path = join(folder, name);
  const catalogue = JSON.parse(readFileSync(path, 'utf8')) as { pages: Record<string, string> };
  const texts = [...textsOfPages()].sort();
  const pages = Object.fromEntries(texts.map((text) => [text, catalogue.pages[text] ?? '']));
  writeFileSync(path, `${JSON.stringify({ ...catalogue, pages }, null, 2)}\n`);
  const missing = texts.filter((text) => !pages[text]).length;
  process.stdout.write(`${name}: ${texts.length} texts, ${missing} without a translation\n`);
}
