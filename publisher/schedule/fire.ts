import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Transaction } from '../../shared/storage/database.ts';
import { withOrderKey } from '../../shared/trace/order-key.ts';
import { recordError } from '../../shared/trace/record-error.ts';
import {
  SCHEDULE_CRON,
  SCHEDULE_MISSED,
  SCHEDULE_NAME,
  SCHEDULE_TICK,
  SCHEDULE_TIME_ZONE,
} from '../../shared/trace/semconv.ts';
import { deriveIds, startWithIds } from '../../shared/trace/span-ids.ts';
import { tracer } from '../../shared/trace/tracer.ts';
import type { Outbox } from '../outbox.ts';
import type { Firing, Schedule } from './define.ts';

/** A job's id follows from its tick: whatever is fired again, the inbox runs it once. */
export function firedJobId(schedule: string, tick: Date): string {
  return `schedule/${schedule}/${tick.toISOString()}`;
}

/**
 * Enqueues the job of a tick, in a trace of its own: what caused it is the time of day, so nothing is its parent, and nothing is
 * linked to it. A firing that was rolled back and is repeated has the same span.
 *
 * Errors: what the payload's function throws; those of `Outbox.enqueue`.
 */
export async function fire(
  tx: Transaction,
  outbox: Outbox,
  schedule: Schedule,
  firing: Firing,
): Promise<string> {
  const jobId = firedJobId(schedule.name, firing.tick);
  const orderKey = schedule.orderKeyOf?.(firing);
  const parent = orderKey === undefined ? ROOT_CONTEXT : withOrderKey(ROOT_CONTEXT, orderKey);
  const span = startWithIds(deriveIds(jobId), () =>
    tracer().startSpan(
      `fire ${schedule.name}`,
      {
        kind: SpanKind.INTERNAL,
        attributes: {
          [SCHEDULE_NAME]: schedule.name,
          [SCHEDULE_TICK]: firing.tick.toISOString(),
          [SCHEDULE_CRON]: schedule.cron,
          [SCHEDULE_TIME_ZONE]: schedule.timeZone,
          [SCHEDULE_MISSED]: firing.isMissed,
        },
      },
      parent,
    ),
  );
  try {
    await outbox.enqueue(tx, schedule.job, schedule.payloadOf(firing), {
      jobId,
      context: trace.setSpan(parent, span),
      ...(orderKey !== undefined && { orderKey }),
      ...(schedule.attributes && { attributes: schedule.attributes }),
    });
    return jobId;
  } catch (error) {
    recordError(span, error);
    throw error;
  } finally {
    span.end();
  }
}
