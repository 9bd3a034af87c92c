import { z } from 'zod';

const time = z.iso.datetime();
const storedError = z.strictObject({ type: z.string(), message: z.string() }).meta({ id: 'StepError' });

const compensationSchema = z
  .strictObject({
    kind: z.enum(['run', 'job', 'skip', 'unknown']),
    status: z.enum(['none', 'pending', 'running', 'undone', 'skipped', 'stuck']),
    attempts: z.int(),
    startedAt: time.optional(),
    endedAt: time.optional(),
    spanId: z.string().optional(),
    reason: z.string().optional(),
    error: storedError.optional(),
  })
  .meta({ id: 'Compensation' });

const stepSchema = z
  .strictObject({
    name: z.string(),
    status: z.enum(['pending', 'running', 'waiting', 'completed', 'failed']),
    attempts: z.int(),
    startedAt: time.optional(),
    endedAt: time.optional(),
    waitMs: z.number().optional(),
    spanId: z.string().optional(),
    error: storedError.optional(),
    compensation: compensationSchema,
  })
  .meta({ id: 'Step' });

/** An order as its owner sees it. */
export const orderViewSchema = z
  .strictObject({
    orderKey: z.string(),
    sagaId: z.string(),
    state: z.enum(['running', 'waiting', 'compensating', 'stuck', 'confirmed', 'compensated', 'resolved']),
    /** Why it was compensated, or is stuck. */
    reason: z.string().optional(),
    domain: z.string(),
    amountMinor: z.int(),
    currency: z.string(),
    itemsCount: z.int(),
    placedAt: time,
    endedAt: time.optional(),
    traceId: z.string().optional(),
    /** Where the customer has to go now. */
    action: z.strictObject({ kind: z.literal('3-d-secure'), url: z.url(), expiresAt: time }).optional(),
    steps: z.array(stepSchema),
    links: z.strictObject({ self: z.string(), events: z.string() }),
  })
  .meta({ id: 'Order' });

export type OrderView = z.infer<typeof orderViewSchema>;
