import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { eventually } from './eventually.ts';

/** Commands that Redis reports by MONITOR. */
type RedisMonitor = {
  /** The commands so far, each with its arguments. */
  readonly commands: readonly (readonly string[])[];
  close(): void;
};

/**
 * Starts MONITOR on a connection of its own. ioredis' own monitor fails if Redis reports a command in the same packet as the
 * reply to MONITOR, which happens when servers poll.
 * @throws {Error} if Redis refuses.
 */
async function monitorRedis(url: string): Promise<RedisMonitor> {
  const { hostname, port, username, password } = new URL(url);
  const socket = connect(Number(port || 6379), hostname);
  await once(socket, 'connect');
  const requests = [...(password ? [`AUTH ${username || 'default'} ${decodeURIComponent(password)}`] : []), 'MONITOR'];
  const commands: string[][] = [];
  let replies = 0;
  let rest = '';
  const started = new Promise<void>((resolve, reject) => {
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('-')) reject(new Error(line));
        // After the replies, each line is `+time [db address] "name" "argument" …`.
        else if (replies < requests.length) replies += 1;
        else commands.push([...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text));
        if (replies === requests.length) resolve();
      }
    });
  });
  for (const request of requests) socket.write(`${request}\r\n`);
  await started;
  return { commands, close: () => socket.destroy() };
}

/**
 * Returns the commands that Redis receives during `work` for keys with a prefix, each with its name in upper case.
 * Servers follow announcements in the background; those commands are left out.
 */
export async function commandsDuring(url: string, prefix: string, work: () => Promise<unknown>): Promise<string[][]> {
  const monitor = await monitorRedis(url);
  const redis = new Redis(url);
  try {
    await work();
    // Wait for a marker command: all earlier commands are reported before it.
    const end = `${prefix}end`;
    await redis.exists(end);
    await eventually(() => monitor.commands.some(([, key]) => key === end));
    return monitor.commands
      .filter(([, key = '']) => key.startsWith(prefix) && key !== end && !key.startsWith(`${prefix}changes:`))
      .map(([name = '', ...rest]) => [name.toUpperCase(), ...rest]);
  } finally {
    redis.disconnect();
    monitor.close();
  }
}
