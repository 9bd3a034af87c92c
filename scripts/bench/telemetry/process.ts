import { connect, startTelemetry } from '../../../shared/index.ts';
import { openDatabase } from '../../../shared/storage/index.ts';
import { type Shop, startShop } from '../../sampling/shop.ts';
import type { Assignment, Window } from './assignment.ts';
import { createOrders, ordinaryFate } from './orders.ts';

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
  fateOf: ordinaryFate,
  slowStepMs: 0,
});

const orders = createOrders(shop, assignment.concurrency);

process.on('message', async (message: Window | 'end') => {
  if (message !== 'end') {
    process.send?.(await orders.run(message));
    return;
  }
  await shop.stop();
  await connection.close();
  await database.close();
  await telemetry?.shutdown();
  process.send?.({ orders: orders.placed() }, () => process.exit());
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
