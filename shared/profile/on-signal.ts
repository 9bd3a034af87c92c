import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Logger } from '../log.ts';
import { profileFileName } from './route.ts';
import { takeProfiles } from './take.ts';

export interface SignalOptions {
  /** Where the files go; made if it is not there. Undefined: a signal is only answered with a log line. */
  readonly folder: string | undefined;
  readonly service: string;
  readonly logger: Logger;
}

const SECONDS = 30;

/**
 * Takes a CPU and a heap profile of 30 s on SIGUSR2; a second signal ends them before that. (Node keeps SIGUSR1 for its
 * inspector.) What comes of it is logged: errors too, for a signal has nobody to tell them to.
 *
 * Shape: a function that stops listening, and ends what is under way.
 */
export function profileOnSignal({ folder, service, logger }: SignalOptions): () => Promise<void> {
  let ending: AbortController | undefined;
  let taking: Promise<void> = Promise.resolve();
  const take = async (signal: AbortSignal) => {
    if (folder === undefined) {
      logger.warn('SIGUSR2: no profile is taken, for THROUGHLINE_PROFILE_FOLDER is not set');
      return;
    }
    logger.info({ seconds: SECONDS }, 'SIGUSR2: profiles are being taken; a second signal ends them');
    const files = await takeProfiles({ kinds: ['cpu', 'heap'], seconds: SECONDS, service, signal });
    await mkdir(folder, { recursive: true });
    for (const [kind, bytes] of files) {
      const path = resolve(join(folder, profileFileName(service, kind)));
      await writeFile(path, bytes);
      logger.info({ path }, `${kind} profile written`);
    }
  };
  const onSignal = () => {
    if (ending) return ending.abort();
    ending = new AbortController();
    taking = take(ending.signal)
      .catch((error: unknown) => logger.error({ err: error }, 'SIGUSR2: no profile'))
      .finally(() => {
        ending = undefined;
      });
  };
  process.on('SIGUSR2', onSignal);
  return async () => {
    process.off('SIGUSR2', onSignal);
    ending?.abort();
    await taking;
  };
}
