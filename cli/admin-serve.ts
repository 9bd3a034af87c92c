import type { Command } from 'commander';
import { readConfig, secretsOf } from '../shared/config.ts';
import { createLogger } from '../shared/log.ts';
import { assertMigrated } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';
import { printLine } from './output.ts';
import { withDatabase } from './session.ts';

/** `throughline admin serve` */
export function addAdminServe(admin: Command): void {
  admin
    .command('serve')
    .description('the same over HTTP, below /admin, until it is interrupted')
    .addHelpText('after', HELP)
    .action(adminServe);
}

const HELP = `
It listens on loopback, on THROUGHLINE_ADMIN_PORT (default 8081). Requests bear THROUGHLINE_ADMIN_TOKEN, at least 32
characters; as long as that is not set, the API is closed. Its description: /admin/openapi.json.

Example:
  $ throughline admin serve
  $ curl -H "authorization: Bearer $THROUGHLINE_ADMIN_TOKEN" http://127.0.0.1:8081/admin/sagas?state=stuck`;

async function adminServe(): Promise<void> {
  const config = readConfig();
  const { adminToken: token, adminPort: port, trustTraceparent, logLevel: level, serviceName } = config;
  // Of all commands only this one needs them.
  const [{ startAdmin }, { campaignRoutes }, { CATALOGUE }, { orderRoutes }] = await Promise.all([
    import('../console/admin/serve.ts'),
    import('../console/admin/campaigns.ts'),
    import('../orders/campaign/channels.ts'),
    import('../orders/http/admin-routes.ts'),
  ]);
  // Nothing of its own is traced without an endpoint, but what others have traced can be shown.
  if (config.otlpEndpoint === undefined) (await import('../shared/trace/telemetry.ts')).readTraceContexts();
  const logger = createLogger({
    ...{ serviceName: serviceName ?? 'throughline-admin', level, format: config.logFormat },
    ...{ projectId: config.projectId, secrets: secretsOf(config) },
  });
  const session = {
    purpose: 'act',
    maxConnections: MAX_CONNECTIONS,
    serviceName: 'throughline-admin',
  } as const;
  await withDatabase(session, async (database) => {
    await assertMigrated(database, [THROUGHLINE_MIGRATIONS]);
    const routes = [...campaignRoutes(database, CATALOGUE), ...orderRoutes(database)];
    const admin = await startAdmin({ database, token, port, routes, trustTraceparent, logger });
    printLine(`The admin API listens on ${admin.url}/admin${token === undefined ? CLOSED : ''}`);
    process.send?.({ url: admin.url });
    await toldToStop();
    await admin.stop();
  });
}

const MAX_CONNECTIONS = 10;
const CLOSED = ', closed: THROUGHLINE_ADMIN_TOKEN is not set';

/** By a signal, or because the parent that holds an IPC channel to this process has gone. A second signal ends it at once. */
function toldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, () => resolve());
  });
}
