// `npm run emulator`            the embedded emulator
// `npm run emulator -- gcloud`  Google's own, where the Cloud SDK is installed
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../shared/config.ts';
import { startGcloudEmulator } from './gcloud.ts';
import { startEmulator } from './pubsub/server.ts';

interface Running {
  readonly host: string;
  readonly exited?: Promise<string>;
  close(): Promise<void>;
}

const program = new Command('emulator')
  .description('Runs a Pub/Sub emulator until it is interrupted.')
  .argument('[kind]', '"embedded", or "gcloud" for Google\'s own', readKind, 'embedded')
  .addOption(
    new Option('--port <port>', 'port to listen on, 0 for any free one').default(8085).argParser(readPort),
  )
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .parse();

const { port, host } = program.opts<{ port: number; host: string }>();
const kind = program.processedArgs[0] as ReturnType<typeof readKind>;

// A port that is taken is reported below, in one line; gRPC would add lines of its own.
setLogVerbosity(logVerbosity.NONE);

try {
  const emulator: Running =
    kind === 'gcloud'
      ? await startGcloudEmulator({ ...readConfig(), port, host })
      : await startEmulator({ port, host });
  console.log(`export PUBSUB_EMULATOR_HOST=${emulator.host}`);
  process.send?.({ host: emulator.host }); // to whoever started it as a child
  await interrupted(emulator);
  await emulator.close();
  if (process.connected) process.disconnect(); // a channel to a parent would keep this process
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}

/** Resolves when the user, or the end of the parent process, stops the emulator; rejects when it stops by itself. */
function interrupted({ exited }: Running): Promise<void> {
  return new Promise((resolve, reject) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve).once('disconnect', resolve);
    exited?.then((output) => reject(new Error(`The emulator stopped by itself. ${output}`)));
  });
}

function readKind(text: string): 'embedded' | 'gcloud' {
  if (text === 'embedded' || text === 'gcloud') return text;
  throw new InvalidArgumentError('It must be "embedded" or "gcloud".');
}

function readPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('It must be a number from 0 to 65535.');
}

function explain(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (!/EADDRINUSE|already in use/i.test(text)) return text;
  return `Port ${port} on ${host} is taken: stop what listens there, or choose another with --port.`;
}
