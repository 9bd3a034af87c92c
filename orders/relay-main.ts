import { readConfig } from '../shared/config.ts';
import { instrument } from '../shared/trace/instrumentation.ts';

/** An outbox relay as a process of its own, for systems whose other processes run with THROUGHLINE_RELAY=off. */
const config = readConfig();
instrument({ trustTraceparent: false, ignoredPaths: ['/metrics', '/admin/profile'] });
// Only now may anything import what is instrumented.
const { runMain } = await import('./process.ts');
const { runRelay } = await import('./relay-process.ts');
await runMain(() => runRelay(config));
