import { readConfig } from '../shared/config.ts';
import { instrument } from '../shared/trace/instrumentation.ts';

/** The order service's process. Start as many as are needed, with one database and one signing secret. */
const config = readConfig();
instrument({
  trustTraceparent: config.trustTraceparent,
  ignoredPaths: ['/healthz', '/readyz', '/metrics', '/admin/profile'],
  secretParameters: ['state', 'token'], // of the way back from the bank, and of links to unsubscribe
});
// Only now may anything import what is instrumented.
const { runMain } = await import('./process.ts');
const { runOrderService } = await import('./order-service-process.ts');
await runMain(() => runOrderService(config));
