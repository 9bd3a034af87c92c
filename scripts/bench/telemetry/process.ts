import { connect, startTelemetry } from '../../../shared/index.ts';
import { openDatabase } from '../../../shared/storage/index.ts';
import { type Shop, startShop } from '../../sampling/shop.ts';
import type { Assignment, Window, WindowRun } from './assignment.ts';

/** One order in 200 fails, as in an ordinary shop; none is made to be slow. */
const FAILING_ONE_IN = 200;
const SAMPLED = { keep: 0.05 };

const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
const { mode, otlpEndpoint } = assignment;
const telemetry =
  mode === 'off'
    ? undefined
    : startTelemetry({
        serviceName: 'bench',
        otlpEndpoint,
        ...(mode === 'sampled' && { sampling: SAMPLED }),
      });
const database = openDatabase({ connectionString: assignment.databaseUrl });
const connection = await connect({ projectId: `bench-${mode}`, emulatorHost: assignment.emulatorHost });
const shop: Shop = await startShop({
  database,
  connection,
  concurrency: assignment.concurrency,
  fateOf: (order) => (order % FAILING_ONE_IN === FAILING_ONE_IN - 1 ? 'refused' : 'plain'),
  slowStepMs: 0,
});

let next = 0;

/** Enough for a figure, however slow the machine is at the moment. */
const FEWEST = 20;
const MOST_PAUSES = 20;

/** Keeps as many orders under way as there are customers, and counts what ends within the window, or one that is longer. */
async function run({ warmUpMs, measureMs }: Window): Promise<WindowRun> {
  const first = next;
  let ended = 0;
  let isOver = false;
  const customer = async () => {
    while (!isOver) {
      const order = next++;
      await shop.ended(order, await shop.place(order));
      ended += 1;
    }
  };
  const window = async () => {
    await pause(warmUpMs);
    const [endedBefore, cpuBefore, startedMs] = [ended, process.cpuUsage(), performance.now()];
    for (let pauses = 0; pauses < MOST_PAUSES && (pauses === 0 || ended - endedBefore < FEWEST); pauses++)
      await pause(measureMs);
    const { user, system } = process.cpuUsage(cpuBefore);
    const orders = ended - endedBefore;
    isOver = true;
    return {
      ordersPerSecond: orders / ((performance.now() - startedMs) / 1_000),
      cpuMsPerOrder: (user + system) / 1_000 / orders,
    };
  };
  const [measured] = await Promise.all([
    window(),
    ...Array.from({ length: assignment.concurrency }, customer),
  ]);
  return { ...measured, orders: next - first };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

process.on('message', async (message: Window | 'end') => {
  if (message !== 'end') {
    process.send?.(await run(message));
    return;
  }
  await shop.stop();
  await connection.close();
  await database.close();
  await telemetry?.shutdown();
  process.send?.({ orders: next }, () => process.exit());
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
