import { z } from 'zod';
import { actor, id, maybe, maybeText, maybeTime, reason, time } from './fields.ts';

const summary = {
  letterId: z.string(),
  state: z.enum(['open', 'redriven', 'dropped']),
  jobId: z.string(),
  jobType: maybeText,
  orderKey: maybeText,
  sagaId: maybeText,
  topic: z.string(),
  subscription: maybeText,
  givenUpBy: z.enum(['worker', 'pubsub', 'unknown']),
  reason: z.string(),
  errorType: maybeText,
  attempts: maybe(z.int()),
  payloadBytes: z.int(),
  publishedAt: maybeTime,
  diedAt: time,
  keptAt: time,
  settledAt: maybeTime,
  settledBy: maybeText,
  settledReason: maybeText,
  traceId: maybeText,
  spanId: maybeText,
};
export const letterSummary = z.strictObject(summary).meta({ id: 'DeadLetterSummary' });

/** A message's data. */
export const payload = {
  payload: z.unknown().describe('When it is JSON'),
  payloadText: maybeText.describe('When it is text'),
  payloadBase64: z.string(),
};

export const letter = z
  .strictObject({
    ...summary,
    consumer: maybeText,
    messageId: maybeText,
    orderingKey: maybeText,
    attributes: z.record(z.string(), z.string()),
    traceparent: maybeText,
    ...payload,
  })
  .meta({ id: 'DeadLetter' });

const done = {
  traceId: maybeText,
  action: z.enum(['redrive', 'drop']),
  actor: z.string(),
  reason: maybeText,
};

export const letterReceipt = z
  .strictObject({
    letterId: z.string(),
    jobId: z.string(),
    jobType: maybeText,
    orderKey: maybeText,
    sagaId: maybeText,
    topic: z.string(),
    ...done,
  })
  .meta({ id: 'DeadLetterReceipt' });

export const bulkReport = z
  .strictObject({
    settled: z.int().describe('How many were redriven or dropped'),
    refused: z.record(z.string(), z.int()).describe('How many were left as they are, by the reason'),
    isStopped: z.boolean(),
    ...done,
  })
  .meta({ id: 'DeadLetterReport' });

const dateTime = z.iso.datetime({ offset: true }).transform((value) => new Date(value));

/** Which letters: all conditions hold together. */
export const filterFields = {
  type: id.optional(),
  order: id.optional(),
  job: id.optional(),
  saga: id.optional(),
  topic: id.optional(),
  reasonHas: id.optional(),
  error: id.optional(),
  since: dateTime.optional(),
  until: dateTime.optional(),
};

const many = {
  actor,
  filter: z
    .strictObject(filterFields)
    .refine(
      (filter) => Object.keys(filter).length > 0,
      'expected a condition; all open letters are `all: true`',
    )
    .optional(),
  all: z.literal(true).optional(),
  limit: z.int().min(1).max(10_000).default(100),
};
const isOneOf = (body: { readonly filter?: unknown; readonly all?: unknown }) =>
  (body.filter === undefined) !== (body.all === undefined);
const WHICH = { message: 'expected either `filter` or `all: true`', path: ['filter'] };

export const redriveMany = z
  .strictObject({
    ...many,
    reason: reason.optional(),
    perSecond: z.number().min(0.001).max(1_000).default(10),
  })
  .refine(isOneOf, WHICH);
export const dropMany = z.strictObject({ ...many, reason }).refine(isOneOf, WHICH);
