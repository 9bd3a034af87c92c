import type { z } from 'zod';
import type { Job } from '../shared/job/define.ts';
import { deadLetter, done, type Outcome } from '../shared/job/outcome.ts';
import {
  SAGA_ATTRIBUTE,
  SAGA_REPLY_ATTRIBUTE,
  type SagaResult,
  sagaResultJob,
} from '../shared/job/saga-result.ts';
import { storableText } from '../shared/storable.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import type { JobDelivery } from './delivery.ts';
import { RecentMap } from './recent-map.ts';
import type { HandleOptions } from './worker.ts';

/** As much of an outbox as a reply needs; publisher and subscriber meet in a service's main file. */
export interface ReplyOutbox {
  enqueue(
    tx: SqlClient,
    job: Job,
    payload: unknown,
    options: { readonly jobId: string; readonly orderKey?: string },
  ): Promise<unknown>;
}

export interface ReplyOptions {
  /**
   * The topics on which sagas await results. A job that asks for its result elsewhere is given up without having run: where to
   * publish is not for whoever can send a message to say. Default: wherever the message says.
   */
  readonly topics?: readonly string[];
}

type JobFunction<Payload> = (delivery: JobDelivery<Payload>, signal: AbortSignal) => Promise<unknown>;
type HandlerOf<Payload> = (delivery: JobDelivery<Payload>, signal: AbortSignal) => Promise<Outcome>;

/**
 * Makes a handler of a function whose result a saga waits for: `worker.handle(...replyToSaga(outbox, job, run))`.
 *
 * What `run` returns (JSON) is enqueued for the saga in the transaction that records the job as done; a job that is given
 * up tells the saga so in the transaction that records its death. A job that no saga dispatched replies to nobody. The
 * worker needs an inbox.
 */
export function replyToSaga<Schema extends z.ZodType>(
  outbox: ReplyOutbox,
  job: Job<Schema>,
  run: JobFunction<z.output<Schema>>,
  { topics }: ReplyOptions = {},
): [Job<Schema>, HandlerOf<z.output<Schema>>, HandleOptions<z.output<Schema>>] {
  type Payload = z.output<Schema>;
  const isForeign = (topic: string | undefined) => topic !== undefined && topics?.includes(topic) === false;
  const reply = async (tx: SqlClient, delivery: JobDelivery<Payload>, result: Outcomes) => {
    const { attributes } = delivery.message;
    const [sagaId, topic] = [attributes[SAGA_ATTRIBUTE], attributes[SAGA_REPLY_ATTRIBUTE]];
    if (!sagaId || !topic || isForeign(topic)) return;
    const { jobId, orderKey } = delivery;
    const options = { jobId: `${jobId}/${result.outcome}`, ...(orderKey !== undefined && { orderKey }) };
    await outbox.enqueue(tx, resultJob(topic), { sagaId, jobId, ...result }, options);
  };
  return [
    job,
    async (delivery, signal) => {
      const topic = delivery.message.attributes[SAGA_REPLY_ATTRIBUTE];
      if (isForeign(topic)) return deadLetter(`${SAGA_REPLY_ATTRIBUTE}: results are not told on "${topic}"`);
      const result = await run(delivery, signal);
      return done((tx) => reply(tx, delivery, { outcome: 'done', ...(result !== undefined && { result }) }));
    },
    {
      onDeadLetter: async (delivery, reason, tx) => {
        if (!tx) throw new TypeError('replyToSaga needs a worker with an inbox');
        const [type = 'DEAD_LETTER'] =
          /^[A-Z][A-Z0-9_]*(?=:)/.exec(reason.replace(/^gave up after \d+ attempts: /, '')) ?? [];
        await reply(tx, delivery, {
          outcome: 'failed',
          error: { type, message: storableText(reason, 2_000) },
        });
      },
    },
  ];
}

type Outcomes =
  | { readonly outcome: 'done'; readonly result?: unknown }
  | Pick<Extract<SagaResult, { outcome: 'failed' }>, 'outcome' | 'error'>;

/** Of those used lately: where any topic may be named, any number of them may. */
const resultJobs = new RecentMap<string, Job>(100);

function resultJob(topic: string): Job {
  let job = resultJobs.get(topic);
  if (!job) {
    job = sagaResultJob(topic);
    resultJobs.set(topic, job);
  }
  return job;
}
