import Sequencer from '@jest/test-sequencer';

/**
 * Files that take longest, which mostly wait for other processes. Jest knows durations only after a first run, and would
 * start one of these last on a clean checkout, while the other workers have nothing left to do.
 */
const longest = [
  'faults/redis-failover',
  'storage/upgrade',
  'regeneration/any-order',
  'regeneration/kill-nine',
  'storage/large-lists',
  'storage/redis-set-up',
  'cli/quickstart',
  'cli/doctor',
  'storage/common-words',
  'console/pages',
];

/** Runs these files first, and the others in Jest's own order. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const index = longest.findIndex((name) => path.endsWith(`/test/${name}.test.ts`));
      return index === -1 ? longest.length : index;
    };
    return super.sort(tests).sort((one, other) => rank(one) - rank(other));
  }
}
