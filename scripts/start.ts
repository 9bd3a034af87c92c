import { hash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { readConfig, ThroughlineError } from '../shared/index.ts';
import { startSystem } from './system/system.ts';

/** The whole system, kept running until Ctrl-C. Orders outlive a restart: the embedded PostgreSQL keeps its data. */
const FOLDER = '.throughline';

try {
  const config = readConfig();
  await mkdir(FOLDER, { recursive: true });
  const system = await startSystem({
    config: { ...config, signingSecret: config.signingSecret ?? (await keptSecret()) },
    dataDir: dataFolder(),
    port: config.port,
    onNotice: (text) => console.error(text),
    onLog: (text) => process.stderr.write(text),
  });
  const { url } = system.orderService.ready;
  const admin = config.adminToken === undefined ? undefined : await system.startAdmin();
  console.log(`The order service listens on ${url} (its description: ${url}/openapi.json). Place an order:

  curl -s ${url}/orders -H 'content-type: application/json' -d '{"domain": "shop.example", "email": "ada@shop.example", "orderKey": "O-1", "items": [{"sku": "workspace-standard", "quantity": 5}]}'
  curl -s ${url}/orders/O-1          # its steps, and where the customer has to go for 3-D Secure
  curl -sN ${url}/orders/O-1/events  # the same, as it happens

Operators over HTTP: ${admin ? `${admin.ready.url}/admin` : 'closed; THROUGHLINE_ADMIN_TOKEN opens it'}
PostgreSQL: ${withoutPassword(system.postgres.url)}
Pub/Sub: ${system.emulator.host} · partners' sandbox: ${system.sandbox.url}
Ctrl-C ends everything. Orders under way go on at the next start, but the sandbox forgets its payments.`);
  // A part that dies by itself ends the whole: half a system would only look like one.
  await Promise.race([system.orderService.died, system.worker.died, ...(admin ? [admin.died] : [])]).catch(
    async (error) => {
      console.error(String((error as Error).message));
      await system.stop();
      process.exitCode = 1;
    },
  );
} catch (error) {
  console.error(error instanceof ThroughlineError ? error.message : error);
  process.exitCode = 1;
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}

/** As root PostgreSQL runs as another user, who cannot reach what lies below root's own folders. */
function dataFolder(): string {
  const here = join(process.cwd(), FOLDER, 'postgres');
  if (userInfo().uid !== 0) return here;
  return join('/var/tmp', `throughline-${hash('sha256', here).slice(0, 12)}`);
}

/** The same at every start, so that a customer who is at the bank meanwhile finds the way back. */
async function keptSecret(): Promise<string> {
  const path = join(FOLDER, 'signing-secret');
  const kept = await readFile(path, 'utf8').catch(() => undefined);
  if (kept !== undefined) return kept.trim();
  const secret = randomBytes(32).toString('hex');
  await writeFile(path, secret, { mode: 0o600 });
  return secret;
}
