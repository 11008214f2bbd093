/**
 * `npm run bench`: compares Keyturn with a minimal reference server on real stores in one run. Prints results, never
 * fails.
 */
import { signingAlgorithms } from '../src/config.ts';
import { startServices } from '../test/services.ts';
import { checkAnswers } from './check-answers.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import { startLimit } from './limit-target.ts';
import { measure } from './measure.ts';
import { readOptions } from './options.ts';
import { listPeers, startPeer } from './peer-target.ts';
import { createReport, presentReport } from './report.ts';
import { leaveServersCore } from './server-process.ts';
import type { Target } from './target.ts';

const options = readOptions(process.argv.slice(2));
const { against, instances } = options;
leaveServersCore();
await using ends = new AsyncDisposableStack();
const stores = await startServices();
ends.defer(() => stores.stop());
const deployment = await createDeployment(stores, options.clients);
ends.defer(() => deployment.remove());

const targets: Target[] = [];
const starts = [
  () => startLimit(stores.redisUrl),
  () => startKeyturn(deployment, 'keyturn', {}, { instances }),
  ...(against.length > 0
    ? against.map((directory) => () => startKeyturn(deployment, directory, {}, { instances, directory }))
    : [
        () => startKeyturn(deployment, 'keyturn, fast path off', { KEYTURN_FAST_PATH: 'off' }, { instances }),
        ...listPeers().map((peer) => () => startPeer(peer, stores.redisUrl, deployment.integrations)),
      ]),
];
for (const start of starts) {
  const target = await start();
  ends.defer(() => target.stop());
  targets.push(target);
}
for (const target of targets) await checkAnswers(target);

const windows = await measure(
  targets,
  options,
  ({ round, scenario, target, perSecond, p99Ms }) =>
    console.error(
      `round ${round}  ${scenario.padEnd(19)} ${target.padEnd(20)} ${perSecond.toFixed(0)}/s, p99 ${p99Ms.toFixed(1)} ms`,
    ),
  async (scenario) => {
    const algorithm = signingAlgorithms.find((each) => scenario === `JWT ${each}`);
    if (algorithm) await deployment.signWith(algorithm);
  },
);
const report = createReport(windows, options);
console.log(options.json ? JSON.stringify(report, null, 2) : presentReport(report));
