import { Command, InvalidArgumentError, Option } from 'commander';
import { readConfig, ThroughlineError } from '../shared/index.ts';
import { grpcCode } from '../shared/pubsub/grpc-status.ts';
import { runDemo } from './demo/demo.ts';
import { publishJob } from './publish-job.ts';

/** `npm run publish …`. npm also runs a script of this name after `npm publish`, without arguments: that prints help. */
const program = new Command('npm run publish --')
  .description('Publishes orders and jobs to Pub/Sub, with their trace.')
  .addHelpText(
    'after',
    `
Examples:
  $ npm run publish demo
  $ npm run publish -- demo --orders orders.jsonl --json
  $ npm run publish -- job notification.send --order-key O-1 \\
      --payload '{"orderKey":"O-1","email":"owner@shop.example","template":"order-confirmed"}'`,
  );

program
  .command('demo')
  .description('run the whole system and print each order as a tree of spans')
  .option(
    '--orders <file>',
    'place the orders of this file, one JSON object a line, instead of the five of the demo',
  )
  .addOption(new Option('--emulator <kind>', 'Pub/Sub to use').choices(['embedded', 'gcloud']))
  .option('--all-spans', 'show the spans of database statements, HTTP clients and Express too')
  .option('--json', 'print one JSON object instead of trees')
  .addOption(new Option('--timeout <seconds>', 'how long an order may take').default(30).argParser(seconds))
  .action(async (options) => {
    process.exitCode = await runDemo(options, readConfig());
  });

program
  .command('job <name>')
  .description('publish a single job')
  .requiredOption('--payload <json>', 'its payload')
  .option('--order-key <key>', 'the order that it belongs to')
  .option('--job-id <id>', 'its idempotency key; default: random')
  .addOption(
    new Option('--version <number>', "the job's version; default: the newest").argParser(positiveNumber),
  )
  .option('--json', 'print one JSON object')
  .action((name, options) => publishJob(name, options, readConfig()));

function seconds(text: string): number {
  const number = positiveNumber(text);
  if (number <= 86_400) return number;
  throw new InvalidArgumentError('It must be a day (86400) at most.');
}

function positiveNumber(text: string): number {
  const number = Number(text);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new InvalidArgumentError('It must be a number above 0.');
}

if (process.argv.length <= 2) program.outputHelp();
else await program.parseAsync().catch(fail);

/** A mistake of the user's, or a refusal of Pub/Sub's, gets a sentence; what nobody foresaw keeps its stack. */
function fail(error: unknown): void {
  process.exitCode = 1;
  const { name, message } = error as Error;
  if (error instanceof ThroughlineError || name === 'GcloudEmulatorError') console.error(message);
  // After its retries the client repeats every earlier error behind the last one.
  else if (grpcCode(error) !== undefined) console.error(`Pub/Sub: ${message.split(' : Previous errors')[0]}`);
  else console.error(error);
}
