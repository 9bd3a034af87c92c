import { Command } from 'commander';
import { connect, startTelemetry } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/index.ts';
import { createSpanCollector } from '../../testing/index.ts';
import { startEmulatorProcess } from '../bench/emulator-process.ts';
import { startDatabases } from '../bench/sagas/databases.ts';
import { type Audit, audit } from './audit.ts';
import { runLoad } from './load.ts';

/** `npm run sampling`: a load of orders, and what of it was told (docs/sampling.md). */
const program = new Command('npm run sampling --')
  .option('--orders <number>', 'how many orders', Number, 20_000)
  .option('--keep <share>', 'the share of orders that is kept', Number, 0.05)
  .option('--concurrency <number>', 'orders under way at once', Number, 200)
  .parse();
const { orders, keep, concurrency } = program.opts<{ orders: number; keep: number; concurrency: number }>();

const SLOW_MS = 2_000;

const collector = createSpanCollector();
const telemetry = startTelemetry({
  serviceName: 'shop',
  exporters: [collector],
  sampling: { keep, slowMs: SLOW_MS },
});
const databases = await startDatabases();
const emulator = await startEmulatorProcess('embedded');
const connection = await connect({ projectId: 'sampling', emulatorHost: emulator.host });
const database = openDatabase({ connectionString: await databases.createMigrated('sampling') });
let found: Audit;
try {
  const startedMs = performance.now();
  let ended = 0;
  const { sagaIds } = await runLoad({
    database,
    connection,
    orders,
    concurrency,
    slowStepMs: SLOW_MS + 100,
    onProgress: () => {
      ended += 1;
      if (ended % 2_000 === 0) process.stderr.write(`${ended} orders\n`);
    },
  });
  process.stderr.write(`${orders} orders in ${Math.round((performance.now() - startedMs) / 1_000)} s\n`);
  await telemetry.flush();
  found = await audit({ spans: collector.spans, database, sagaIds, keep, slowMs: SLOW_MS });
} finally {
  await connection.close();
  await database.close();
  await telemetry.shutdown();
  await emulator.stop();
  await databases.close();
}

for (const [fate, { orders: all, kept }] of Object.entries(found.kept))
  console.log(`${fate.padEnd(14)} ${String(kept).padStart(6)} of ${String(all).padStart(6)} orders told`);
const share = (found.keptShare * 100).toFixed(2);
console.log(
  `of those with which nothing was the matter: ${share} % (${found.slowByItself} more were slow by themselves)`,
);
console.log(`${found.spans} spans; ${found.problems.length} problems`);
for (const problem of found.problems.slice(0, 20)) console.log(`  ${problem}`);
const isFar = Math.abs(found.keptShare - keep) > 0.005;
process.exitCode = found.problems.length > 0 || isFar ? 1 : 0;
