import { randomUUID } from 'node:crypto';
import { type Context, context, type Link } from '@opentelemetry/api';
import { campaignOf } from '../shared/job/campaign.ts';
import type { Job } from '../shared/job/define.ts';
import {
  checkPayload,
  decodePayload,
  type Envelope,
  encodeJob,
  PayloadError,
} from '../shared/job/envelope.ts';
import { light } from '../shared/trace/light-context.ts';
import { orderKeyOf, withOrderKey } from '../shared/trace/order-key.ts';
import type { SendFacts } from '../shared/trace/send-span.ts';

export interface PublishOptions {
  /** The business key that every span, log line and message of the order bears. Default: the active context's. */
  readonly orderKey?: string;
  /** Idempotency key of the job. Default: a random UUID. */
  readonly jobId?: string;
  /** Further attributes, for filters. The envelope's own keys and `goog…` are refused. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** What the `send` span belongs to. Default: the active context. */
  readonly context?: Context;
  readonly links?: readonly Link[];
}

/** A job that is checked and encoded; only its trace context is missing. */
export interface PreparedJob extends SendFacts {
  readonly envelope: Envelope;
  readonly orderKey: string | undefined;
  readonly parent: Context;
}

/** Errors: PayloadError, AttributeConflictError. */
export function prepareJob(job: Job, payload: unknown, source: string, options: PublishOptions): PreparedJob {
  const checked = checkPayload(job, payload);
  const jobId = options.jobId ?? randomUUID();
  const parent = sendingContext(options);
  const orderKey = options.orderKey ?? orderKeyOf(parent);
  const orderingKey = job.orderingKey?.(checked, orderKey);
  const envelope = encodeJob(job, payload, { jobId, source, orderKey, attributes: options.attributes });
  checkReadable(job, envelope.data);
  const { topic, name, version } = job;
  return {
    envelope,
    orderKey,
    parent,
    topic,
    name,
    version,
    jobId,
    orderingKey,
    bodyBytes: envelope.data.byteLength,
    campaign: campaignOf(envelope.attributes),
  };
}

const readable = new WeakSet<Job>();

/**
 * Reads a job's first payload as the worker will: a schema such as `z.date()` accepts what is published and refuses what
 * arrives, and every such message would die at the worker.
 */
function checkReadable(job: Job, data: Uint8Array): void {
  if (readable.has(job)) return;
  try {
    decodePayload(job, data);
  } catch (cause) {
    if (!(cause instanceof PayloadError)) throw cause;
    throw new PayloadError(
      job.type,
      [...cause.issues, 'this is the payload as JSON, as the worker will read it'],
      { cause },
    );
  }
  readable.add(job);
}

function sendingContext({ context: given, orderKey }: PublishOptions): Context {
  const parent = light(given ?? context.active());
  return orderKey === undefined ? parent : withOrderKey(parent, orderKey);
}
