import { createSandboxClient, type SandboxClient } from '../../../emulator/partners/sandbox-client.ts';
import { topology } from '../../../orders/contract.ts';
import { ORDERS_MIGRATIONS } from '../../../orders/storage/migrations.ts';
import { applyTopology, connect } from '../../../shared/index.ts';
import { type Database, migrate, openDatabase } from '../../../shared/storage/index.ts';
import { type Child, startChild } from '../../system/child.ts';
import { createStops } from '../../system/stops.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { Databases } from '../sagas/databases.ts';
import { cpuMsOfTree } from '../sagas/server-cpu.ts';
import { peakMib } from './memory.ts';

/** The shop's own processes, as they are run in practice, with a database of their own and nothing in it. */
export interface House {
  readonly database: Database;
  readonly sandbox: SandboxClient;
  /** CPU so far and peak memory, by part; those that are not ours are in brackets. */
  usage(): Readonly<Record<string, Usage>>;
  close(): Promise<void>;
}

export interface Usage {
  readonly cpuMs: number;
  readonly peakMib: number;
}

export interface HouseOptions {
  readonly databases: Databases;
  readonly name: string;
  readonly workers: number;
  readonly otlpEndpoint: string;
}

const PROJECT = 'bench';

export async function openHouse({ databases, name, workers, otlpEndpoint }: HouseOptions): Promise<House> {
  const stops = createStops();
  try {
    const url = await databases.createMigrated(name);
    stops.add(() => databases.drop(name));
    const database = openDatabase({ connectionString: url, maxConnections: 4, statementTimeoutMs: 0 });
    stops.add(() => database.close());
    await migrate(database, ORDERS_MIGRATIONS);
    const emulator = await startEmulatorProcess('embedded');
    stops.add(emulator.stop);
    const connection = await connect({ projectId: PROJECT, emulatorHost: emulator.host });
    await applyTopology(connection, topology).finally(() => connection.close());
    const env = {
      ...process.env,
      LOG_LEVEL: 'warn',
      GOOGLE_CLOUD_PROJECT: PROJECT,
      PUBSUB_EMULATOR_HOST: emulator.host,
      DATABASE_URL: url,
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint,
      THROUGHLINE_RELAY: 'off',
    };
    const start = <Ready = object>(main: string, more: Readonly<Record<string, string>> = {}) =>
      stops.child(
        startChild<Ready>({ main, env: { ...env, ...more }, onLog: (text) => process.stderr.write(text) }),
      );
    // The partners are asked, not measured: they trace nothing.
    const partners = await start<{ url: string }>('scripts/partners-main.ts', {
      ...{ PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: '', NODE_OPTIONS: '--max-old-space-size=8192' },
    });
    const running: Child<object>[] = await Promise.all([
      start('orders/relay-main.ts'),
      ...Array.from({ length: workers }, (_, index) =>
        start('orders/worker-main.ts', {
          PARTNERS_URL: partners.ready.url,
          OTEL_SERVICE_NAME: `worker-${index + 1}`,
        }),
      ),
    ]);
    const parts = {
      relay: [running[0]?.pid ?? 0],
      worker: running.slice(1).map(({ pid }) => pid),
      '(emulator)': [emulator.pid],
      '(partners)': [partners.pid],
      '(postgres)': [databases.pid],
    };
    return {
      database,
      sandbox: createSandboxClient(partners.ready.url),
      usage: () =>
        Object.fromEntries(
          Object.entries(parts).map(([part, pids]) => [
            part,
            {
              cpuMs: pids.reduce((sum, pid) => sum + cpuMsOfTree(pid), 0),
              peakMib: Math.max(...pids.map(peakMib)),
            },
          ]),
        ),
      close: stops.run,
    };
  } catch (error) {
    await stops.run();
    throw error;
  }
}
