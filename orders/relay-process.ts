import { createRelay, observeOutbox } from '../publisher/index.ts';
import { type Config, createBatchSink } from '../shared/index.ts';
import { assertMigrated } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';
import { runProcess } from './process.ts';

/** Errors: ConfigError, SchemaError. */
export async function runRelay(config: Config): Promise<void> {
  await runProcess(config, 'order-relay', async ({ logger, connection, database }) => {
    await assertMigrated(database, [THROUGHLINE_MIGRATIONS]);
    const { resendAfterMs } = config;
    const relay = createRelay({ database, sink: createBatchSink(connection), logger, resendAfterMs });
    await relay.start();
    const gauges = observeOutbox(database);
    return {
      stop: async () => {
        gauges.stop();
        await relay.stop();
      },
    };
  });
}
