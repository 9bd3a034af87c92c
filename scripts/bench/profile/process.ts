import { connect, inSpan, startTelemetry } from '../../../shared/index.ts';
import { decodeProfile } from '../../../shared/profile/pprof.ts';
import { takeProfiles } from '../../../shared/profile/take.ts';
import { openDatabase } from '../../../shared/storage/index.ts';
import { startShop } from '../../sampling/shop.ts';
import type { Window } from '../telemetry/assignment.ts';
import { createOrders, ordinaryFate } from '../telemetry/orders.ts';
import type { Assignment, ProfiledRun, ProfiledWindow } from './assignment.ts';

const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
const telemetry = startTelemetry({ serviceName: 'bench' });
const database = openDatabase({ connectionString: assignment.databaseUrl });
const connection = await connect({ projectId: 'bench-profile', emulatorHost: assignment.emulatorHost });
const { concurrency } = assignment;
const shop = await startShop({ database, connection, concurrency, fateOf: ordinaryFate, slowStepMs: 0 });
const orders = createOrders(shop, concurrency);

/** No window is as long: the profile is ended with it. */
const LONG_S = 300;

/** The profile begins before the window and ends after it, so that the window has what a profile costs while it is taken. */
async function run({ mode, ...window }: ProfiledWindow): Promise<ProfiledRun> {
  if (mode === 'off') return { ...(await measure(window)), writtenMs: 0, fileBytes: 0, namedShare: 0 };
  const done = new AbortController();
  const begun = Promise.withResolvers<void>();
  const taken = takeProfiles({
    kinds: [mode],
    seconds: LONG_S,
    service: 'bench',
    signal: done.signal,
    onStarted: begun.resolve,
  });
  await Promise.race([begun.promise, taken]); // a refusal is thrown
  const measured = await measure(window);
  const endedMs = performance.now();
  done.abort();
  const file = (await taken).get(mode) ?? new Uint8Array();
  return {
    ...measured,
    writtenMs: performance.now() - endedMs,
    fileBytes: file.length,
    namedShare: namedShareOf(file),
  };
}

async function measure(window: Window) {
  const measured = await orders.run(window);
  return { ...measured, cpuUsPerSpan: await costOfSpans() };
}

const SPANS = 20_000;

/** Where orders wait for a database that others keep busy, this shows what a profile adds. */
async function costOfSpans(): Promise<number> {
  const before = process.cpuUsage();
  for (let span = 0; span < SPANS; span++)
    await inSpan('one of many', {}, async () => {
      await Promise.resolve();
    });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / SPANS;
}

function namedShareOf(file: Uint8Array): number {
  let [named, all] = [0, 0];
  for (const { labels, values } of decodeProfile(file).samples) {
    const value = values.at(-1) ?? 0;
    all += value;
    if (labels['span'] !== undefined) named += value;
  }
  return named / all;
}

process.on('message', async (message: ProfiledWindow | 'end') => {
  if (message !== 'end') {
    process.send?.(await run(message));
    return;
  }
  await shop.stop();
  await connection.close();
  await database.close();
  await telemetry.shutdown();
  process.send?.({ orders: orders.placed() }, () => process.exit());
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
