import { writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../shared/config.ts';
import { systemUser } from './actor.ts';
import { UsageError } from './failure.ts';
import { stopsOnInterrupt } from './interrupt.ts';
import { printLine } from './output.ts';
import { askForProfile } from './profile-request.ts';
import { readHttpUrl } from './read-http-url.ts';

interface TakeOptions {
  readonly url?: string;
  readonly seconds: number;
  readonly kind: 'cpu' | 'heap';
  readonly output?: string;
  readonly release?: string;
  readonly actor?: string;
}

/** `throughline profile` */
export function addProfileTake(profile: Command): void {
  profile
    .command('take', { isDefault: true })
    .description('takes a profile of a running process, and writes it to a file')
    .option(
      '--url <url>',
      "of the process' metrics (default: OTEL_EXPORTER_PROMETHEUS_PORT here)",
      readHttpUrl,
    )
    .option('--seconds <number>', 'for how long, 0.1 to 300', readSeconds, 30)
    .addOption(new Option('--kind <kind>', 'what is measured').choices(['cpu', 'heap']).default('cpu'))
    .option('--output <path>', 'of the file (default: named by the process, in this folder)')
    .option('--release <name>', 'of the service; written into the file, for whoever compares')
    .option('--actor <name>', 'who does it, for the audit (default: the user of the operating system)')
    .addHelpText('after', HELP)
    .action(profileTake);
}

const HELP = `
The process answers on the port on which it serves its metrics, to whoever bears its THROUGHLINE_ADMIN_TOKEN; it takes
one profile at a time. Ctrl-C ends it, and nothing is written. The file is a pprof file, for any viewer.

Examples:
  $ throughline profile take --url http://127.0.0.1:9464
  $ throughline profile --seconds 30 --url http://127.0.0.1:9464
  $ throughline profile --kind heap --url http://127.0.0.1:9464 --output heap.pb.gz`;

async function profileTake({ url, seconds, kind, output, release, actor }: TakeOptions): Promise<void> {
  const { adminToken: token, prometheusPort } = readConfig();
  if (token === undefined) throw new UsageError('THROUGHLINE_ADMIN_TOKEN is not set; it is the process’ own');
  const base = url ?? (prometheusPort ? `http://127.0.0.1:${prometheusPort}` : undefined);
  if (base === undefined) throw new UsageError('say with --url where the process serves its metrics');
  const interrupt = stopsOnInterrupt();
  try {
    const { signal } = interrupt;
    const request = { url: base, token, kind, seconds, release, actor: actor ?? systemUser(), signal };
    const { bytes, name } = await askForProfile(request);
    const path = output ?? name;
    await writeFile(path, bytes);
    printLine(`${path}: ${bytes.length} bytes`);
    printLine(`Look at it: throughline profile show ${path}`);
  } finally {
    interrupt.end();
  }
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds >= 0.1 && seconds <= 300) return seconds;
  throw new InvalidArgumentError('It must be a number from 0.1 to 300.');
}
