import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { startDatabases } from './databases.ts';
import { flatRounds } from './flat.ts';
import { relayRounds } from './relay.ts';
import { installRivals } from './rivals.ts';
import { fullSize, quickSize } from './size.ts';
import { startSpanReceiver } from './span-receiver.ts';
import { speedRounds } from './speed.ts';
import { summary } from './summary.ts';

/**
 * Throughline with every span recorded and exported, against DBOS, Restate and hand-written loops: the same saga for all
 * (work.ts), on one PostgreSQL with `synchronous_commit` on. Then the relay, and what finished sagas cost.
 */
export async function sagas(options: BenchOptions): Promise<BenchResult> {
  const size = options.quick ? quickSize : fullSize;
  const rounds = options.rounds ?? size.rounds;
  const rivals = options.rivals ? await installRivals(size.installMs) : { folder: '', missing: 'not wanted' };
  if (rivals.missing) options.onProgress(`DBOS and Restate are left out: ${rivals.missing}`);
  const databases = await startDatabases();
  const receiver = await startSpanReceiver();
  try {
    const stage = { databases, receiver, rivalsFolder: rivals.folder, size, onProgress: options.onProgress };
    const runs = await speedRounds(stage, rounds, rivals.missing === undefined);
    const flat = await flatRounds(stage, size.partRounds);
    const relay = await relayRounds(stage, size.partRounds);
    return summary({ runs, flat, relay, missing: rivals.missing });
  } finally {
    await receiver.stop();
    await databases.close();
  }
}
