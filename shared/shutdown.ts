import { errorMessage } from './trace/record-error.ts';

/**
 * Runs `stop` once on SIGTERM, on SIGINT, or when a parent process that holds an IPC channel to this one has gone; then
 * exits with 0. A second signal, or a failing `stop`, exits with 1.
 *
 * For main files: stop the worker, close the publisher, and shut telemetry down last, so that the spans of the last job
 * are exported.
 */
export function onShutdown(stop: () => Promise<void>): void {
  let stopping = false;
  const handle = () => {
    if (stopping) process.exit(1);
    stopping = true;
    stop().then(
      () => process.exit(0),
      (error) => {
        process.stderr.write(`stopping failed: ${errorMessage(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', handle);
  process.on('SIGINT', handle);
  process.on('disconnect', () => {
    if (!stopping) handle();
  });
}
