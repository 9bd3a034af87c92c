import { readConfig } from '../shared/config.ts';
import { instrument } from '../shared/trace/instrumentation.ts';

/** The worker's process. Start as many as are needed; SIGTERM lets running jobs finish. */
const config = readConfig();
instrument({ trustTraceparent: false, ignoredPaths: ['/metrics', '/admin/profile'] });
// Only now may anything import what is instrumented.
const { runMain } = await import('./process.ts');
const { runWorker } = await import('./worker-process.ts');
await runMain(() => runWorker(config));
