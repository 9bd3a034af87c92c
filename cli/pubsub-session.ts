import { readConfig } from '../shared/config.ts';
import { ThroughlineError } from '../shared/errors.ts';
import { connect, type PubSubConnection } from '../shared/pubsub/connection.ts';
import { inTime } from '../shared/time-limit.ts';

/** A person waits: the clients themselves go on trying for minutes. */
const ANSWER_WITHIN_MS = 20_000;

/** Pub/Sub, or the emulator that is meant to stand for it, does not answer. */
export class PubSubSilentError extends ThroughlineError {
  override readonly name = 'PubSubSilentError';
  readonly code = 'PUBSUB_SILENT';
  override readonly retryable = true;

  constructor(where: string) {
    super(`no answer from ${where} within ${ANSWER_WITHIN_MS / 1_000} s`);
  }
}

/** Errors: PubSubSilentError when the answer does not come in time. */
export type Answered = <T>(answer: Promise<T>) => Promise<T>;

/** Runs `work` with the Pub/Sub of the configuration. Errors: ConfigError, ProjectUnknownError, CredentialsMissingError, PubSubSilentError. */
export async function withPubSub<T>(
  work: (connection: PubSubConnection, answered: Answered) => Promise<T>,
): Promise<T> {
  const { projectId, pubsubEmulatorHost: emulatorHost } = readConfig();
  const answered = createAnswered(emulatorHost === undefined ? 'Pub/Sub' : `the emulator at ${emulatorHost}`);
  const connection = await answered(connect({ projectId, emulatorHost }));
  try {
    return await work(connection, answered);
  } finally {
    await connection.close();
  }
}

function createAnswered(where: string): Answered {
  return (answer) =>
    inTime(answer, ANSWER_WITHIN_MS, () => {
      throw new PubSubSilentError(where);
    });
}
