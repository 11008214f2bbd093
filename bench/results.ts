/**
 * `npm run bench:report`: writes `bench/RESULTS.md` and its chart `bench/results.svg` from the output of `npm run bench
 * -- --json` and `npm run bench:growth -- --json`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Growth } from './growth.ts';
import type { Report, Result } from './report.ts';
import type { Table } from './table.ts';

const [source, growthSource] = process.argv.slice(2);
if (!source || !growthSource) {
  console.error(`npm run -s bench -- --json > results.json
npm run -s bench:growth -- --json > growth.json
npm run bench:report -- results.json growth.json`);
  process.exit(2);
}
const report = read<Report>(source);
const directory = new URL('./', import.meta.url);
writeFileSync(new URL('RESULTS.md', directory), present(report) + presentGrowth(read<Growth>(growthSource)));
writeFileSync(new URL('results.svg', directory), draw(report.results));

function read<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}

function present({ at, node, processor, options, results }: Report): string {
  const rows = results.map(
    ({ scenario, target, ratio, processorRatio, perSecond, p50Ms, p99Ms }) =>
      `| ${scenario} | ${target} | ${processorRatio?.toFixed(2) ?? '–'} | ` +
      `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}) | ${Math.round(perSecond.median)} | ${p50Ms.toFixed(2)} | ${p99Ms.toFixed(2)} |`,
  );
  return `# What it costs

Made by \`npm run bench:report\` from one run of \`npm run bench\`: ${at.slice(0, 10)}, Node ${node}, ${processor},
${options.rounds} interleaved rounds of ${options.seconds} s, ${options.connections} connections, ${options.clients} clients, one core for each server.

\`limit\` is a bare \`node:http\` server that parses the form, awaits one command of the same Redis, and answers. What it cannot do is
compared with its tokens or introspections. *By CPU* is the processor time of \`limit\` per answer divided by that of the server: above 1,
the server needs less than \`limit\`. Other work on the machine disturbs it less than *by rate*, the ratio of answers a second in the same
round (median, lowest and highest). Keyturn runs with everything on: limits, counters, metrics, access log to a file.

![Answers for the same processor time, as ratios to the limit](results.svg)

| | server | by CPU | by rate | a second | p50 ms | p99 ms |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}

function presentGrowth({ at, tables }: Growth): string {
  return `
## As work grows
From \`npm run bench:growth\`, ${at.slice(0, 10)}, on the same stores.
${tables.map(presentTable).join('')}`;
}

function presentTable({ title, head, rows }: Table): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `\n**${title}.**\n\n${lines.join('\n')}\n`;
}

/** Draws the ratios of processor time as bars grouped by scenario, with a line at 1.00. */
function draw(all: readonly Result[]): string {
  const results = all.map(({ scenario, target, processorRatio = 0 }) => ({ scenario, target, ratio: processorRatio }));
  const barHeight = 18;
  const left = 290;
  const scale = 320;
  const most = Math.max(1, ...results.map(({ ratio }) => ratio));
  const width = left + scale * most + 70;
  const height = results.length * (barHeight + 6) + 40;
  const bars = results.map(({ scenario, target, ratio }, index) => {
    const y = 24 + index * (barHeight + 6);
    const colour = target.startsWith('keyturn') ? '#2563eb' : '#94a3b8';
    return (
      `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${scenario}: ${target}</text>` +
      `<rect x="${left}" y="${y}" width="${(ratio * scale).toFixed(1)}" height="${barHeight}" fill="${colour}"/>` +
      `<text x="${(left + ratio * scale + 6).toFixed(1)}" y="${y + 13}">${ratio.toFixed(2)}</text>`
    );
  });
  const line = `<line x1="${left + scale}" x2="${left + scale}" y1="14" y2="${height - 10}" stroke="#dc2626" stroke-dasharray="4 3"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${Math.ceil(width)} ${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${bars.join('\n')}
${line}
</svg>
`;
}
