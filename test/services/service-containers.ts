import { randomBytes } from 'node:crypto';
import { findEngine } from './service-engine.ts';
import { type Answers, awaitAnswer, type Service, startWatched } from './service-start.ts';

export type Image = {
  name: string;
  port: number;
  command: string[];
  environment: Record<string, string>;
  ready: RegExp;
  url: (host: string, port: number) => string;
  answers: Answers;
};

/**
 * Starts a container through testcontainers. Its reaper would need another image, so the watchdog removes containers by
 * label instead.
 * @throws if no engine answers, or if the engine cannot get the image.
 */
export async function startContainer(image: Image): Promise<Service> {
  const engine = await findEngine();
  if (!engine) throw new Error('no Docker engine answers');
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const { GenericContainer, Wait } = await import('testcontainers');
  const run = randomBytes(8).toString('hex');
  const watched = startWatched({ containers: { engine, label: `keyturn.test-run=${run}` } });
  try {
    const container = await new GenericContainer(image.name)
      .withLabels({ 'keyturn.test-run': run })
      .withExposedPorts(image.port)
      .withEnvironment(image.environment)
      .withCommand(image.command)
      .withWaitStrategy(Wait.forLogMessage(image.ready))
      .withStartupTimeout(60_000)
      .start();
    const url = image.url(container.getHost(), container.getMappedPort(image.port));
    await awaitAnswer(() => image.answers(url), watched);
    return { url, stop: watched.stop };
  } catch (error) {
    await watched.stop();
    throw error;
  }
}
