import { Argument, Command } from 'commander';
import { campaign } from './campaign/campaign.ts';
import { messaging } from './messaging/messaging.ts';
import type { BenchOptions } from './options.ts';
import { profile } from './profile/profile.ts';
import { type BenchResult, printResult } from './report.ts';
import { sagas } from './sagas/sagas.ts';
import { telemetry } from './telemetry/telemetry.ts';

/** `npm run bench -- NAME`: rivals and Throughline interleaved in one run. */
const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<BenchResult>>> = {
  campaign,
  messaging,
  profile,
  sagas,
  telemetry,
};

const program = new Command('npm run bench --')
  .addArgument(new Argument('<name>', 'what to measure').choices(Object.keys(BENCHES)))
  .option('--quick', 'a small run that only shows that the benchmark works', false)
  .option('--rounds <number>', 'how often each contender runs', Number)
  .option('--emulator <kind>', "messaging: embedded, or gcloud for Google's own", 'embedded')
  .option('--no-rivals', 'sagas: without what would have to be installed first')
  .option('--json', 'one JSON object on the last line', false)
  .parse();

const options = program.opts<BenchOptions & { json: boolean }>();
const bench = BENCHES[program.args[0] ?? ''];
if (bench) {
  const onProgress = (text: string) => process.stderr.write(`${text}\n`);
  printResult(await bench({ ...options, onProgress }), options.json);
}
