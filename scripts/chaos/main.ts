import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { makePlan } from './plan.ts';
import { isRight, summarise, toJson } from './report.ts';
import { runChaos } from './run.ts';

/** `npm run chaos`: kills parts of the system at random under load, and counts what went wrong. */
const MAX_SEED = 2 ** 31;
const QUICK_MS = 15_000;

const program = new Command('npm run chaos --')
  .description('Kills parts of the system at random under load, and counts what went wrong.')
  .addOption(
    new Option('--minutes <number>', 'how long orders come and parts are killed')
      .default(3)
      .argParser(minutes),
  )
  .addOption(new Option('--seed <number>', 'replays what a run with this seed did').argParser(seed))
  .option('--quick', 'a small run, of about half a minute', false)
  .allowExcessArguments(false)
  .parse();

interface Options {
  readonly minutes: number;
  readonly seed?: number;
  readonly quick: boolean;
}

const options = program.opts<Options>();
const plan = makePlan(
  options.seed ?? randomInt(MAX_SEED),
  options.quick ? QUICK_MS : options.minutes * 60_000,
);
const onProgress = (text: string) => process.stderr.write(`${text}\n`);

try {
  onProgress(`seed ${plan.seed}: ${plan.orders.length} orders, ${plan.blows.length} blows`);
  const result = await runChaos({ plan, settleMs: options.quick ? 45_000 : 120_000, onProgress });
  console.log(summarise(plan, result));
  console.log(toJson(plan, result));
  process.exitCode = isRight(result) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  process.exitCode = 1;
}

function minutes(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 1_440) return value;
  throw new InvalidArgumentError('It must be a number above 0, at most 1440.');
}

function seed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < MAX_SEED) return value;
  throw new InvalidArgumentError(`It must be a whole number from 0 to ${MAX_SEED - 1}.`);
}
