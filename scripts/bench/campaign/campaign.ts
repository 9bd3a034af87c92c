import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { startDatabases } from '../sagas/databases.ts';
import { startSpanReceiver } from '../sagas/span-receiver.ts';
import { type Summary, summarise } from '../statistics.ts';
import { type SendingRun, sendTo } from './sending.ts';
import { cancelToSilence, type SilenceRun } from './silence.ts';
import { fullSize, quickSize } from './size.ts';

/**
 * One notification to few and to many, through the shop's own processes, an emulator and the partners' sandbox; then a cancel at full
 * rate. Whoever is sent to twice, or not at all, fails the benchmark.
 */
export async function campaign(options: BenchOptions): Promise<BenchResult> {
  const size = options.quick ? quickSize : fullSize;
  const databases = await startDatabases();
  const receiver = await startSpanReceiver();
  const stage = { databases, receiver, size, onProgress: options.onProgress };
  try {
    const [few, many] = size.recipients;
    const runs = [await sendTo(stage, few), await sendTo(stage, many)] as const;
    const silences: SilenceRun[] = [];
    for (let round = 0; round < (options.rounds ?? size.cancel.rounds); round++)
      silences.push(await cancelToSilence(stage, round));
    return summary(...runs, silences);
  } finally {
    await receiver.stop();
    await databases.close();
  }
}

function summary(few: SendingRun, many: SendingRun, silences: readonly SilenceRun[]): BenchResult {
  const one = (value: number) => summarise([value]);
  const figures: Record<string, Summary> = {
    recipients: one(many.recipients),
    recipients_per_s: one(many.recipientsPerSecond),
    recipients_per_s_few: one(few.recipientsPerSecond),
    frozen_per_s: one(many.frozenPerSecond),
    cancel_to_silence_ms: summarise(silences.map(({ cancelToSilenceMs }) => cancelToSilenceMs)),
    cancel_returns_ms: summarise(silences.map(({ cancelReturnsMs }) => cancelReturnsMs)),
    ledger_bytes_per_recipient: one(many.ledgerBytesPerRecipient),
    database_bytes_per_recipient: one(many.databaseBytesPerRecipient),
    spans_per_recipient: one(many.spansPerRecipient),
  };
  for (const [part, value] of Object.entries(many.cpuMsPer1000))
    figures[`cpu_ms_per_1000 ${part}`] = one(value);
  for (const [part, value] of Object.entries(many.peakMib)) figures[`peak_mib ${part}`] = one(value);
  for (const [part, value] of Object.entries(few.peakMib)) figures[`peak_mib_few ${part}`] = one(value);
  return {
    bench: 'campaign',
    versions: { node: process.version },
    figures,
    ratios: {
      memory_1m_vs_20k: summarise(OURS.map((part) => (many.peakMib[part] ?? 0) / (few.peakMib[part] ?? 0))),
    },
    notes: [
      'Measured: from the start of the campaign to the last effect at the partners; every span of ours is recorded and exported.',
      `memory_1m_vs_20k: peak memory of relay and workers with ${many.recipients} recipients against ${few.recipients}; (partners) keeps every effect in memory, it is the judge.`,
      'Parts in brackets are not ours. CPU is per 1,000 recipients, freezing not included.',
    ],
  };
}

const OURS = ['relay', 'worker'] as const;
