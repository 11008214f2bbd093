/**
 * oidc-provider as its documentation sets it up for client credentials and introspection: clients in its configuration,
 * opaque tokens in Redis through a reduced form of its example adapter. No limits, counters, hashes or log.
 */
import { Redis } from 'ioredis';
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';

const redis = new Redis(process.env['REDIS_URL'] ?? '', { enableAutoPipelining: true });
const port = Number(process.env['PORT']);

class RedisAdapter implements Adapter {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    await redis.set(`peer:${this.#name}:${id}`, JSON.stringify(payload), 'EX', expiresIn);
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const text = await redis.get(`peer:${this.#name}:${id}`);
    return text === null ? undefined : (JSON.parse(text) as AdapterPayload);
  }

  async destroy(id: string): Promise<void> {
    await redis.del(`peer:${this.#name}:${id}`);
  }

  async consume(): Promise<void> {}
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async revokeByGrantId(): Promise<void> {}
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: RedisAdapter,
  clients: (JSON.parse(process.env['CLIENTS'] ?? '[]') as [string, string][]).map(([client_id, client_secret]) => ({
    client_id,
    client_secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  })),
  scopes: ['orders:read'],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    devInteractions: { enabled: false },
  },
});
provider.listen(port, '127.0.0.1');
