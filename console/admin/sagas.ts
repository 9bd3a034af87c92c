import { z } from 'zod';
import { listSagas, operateSaga, readSagaDetail, SAGA_STATES } from '../../publisher/saga/index.ts';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import {
  actor,
  after,
  flag,
  id,
  limit,
  maybe,
  maybeText,
  maybeTime,
  maybeTrace,
  reason,
  someOf,
  time,
} from './fields.ts';

const summary = {
  sagaId: z.string(),
  name: z.string(),
  version: z.int(),
  orderKey: maybeText,
  state: z.enum(SAGA_STATES),
  step: maybeText,
  reason: maybeText,
  parked: maybeText,
  startedAt: time,
  endedAt: maybeTime,
  traceId: maybeTrace,
};
const storedError = z.strictObject({ type: z.string(), message: z.string() });
const told = {
  attempts: z.int(),
  startedAt: maybeTime,
  endedAt: maybeTime,
  traceId: maybeText,
  spanId: maybeText,
  error: maybe(z.looseObject(storedError.shape)),
};
const step = z.strictObject({
  name: z.string(),
  status: z.enum(['pending', 'running', 'waiting', 'completed', 'failed']),
  waitMs: maybe(z.number()),
  ...told,
  compensation: z.strictObject({
    kind: z.enum(['run', 'job', 'skip', 'unknown']),
    status: z.enum(['none', 'pending', 'running', 'undone', 'skipped', 'stuck']),
    reason: maybeText,
    ...told,
  }),
});
const action = z.enum(['retry', 'skip', 'resolve']);
const detail = z
  .strictObject({
    ...summary,
    input: z.unknown(),
    steps: z.array(step),
    waitingFor: maybe(
      z.strictObject({
        step: z.string(),
        signal: z.string(),
        since: time,
        deadline: time,
        data: z.unknown(),
      }),
    ),
    failure: maybe(z.strictObject({ step: z.string(), error: z.looseObject(storedError.shape) })),
    operators: z.array(z.strictObject({ at: time, actor: z.string(), action, reason: maybeText })),
    pendingAction: maybe(z.strictObject({ action, actor: z.string(), reason: z.string() })),
    history: z.array(z.strictObject({ at: time, event: z.looseObject({ kind: z.string() }) })),
  })
  .meta({ id: 'Saga' });
const receipt = z
  .strictObject({
    sagaId: z.string(),
    action,
    orderKey: maybeText,
    step: maybeText,
    traceId: maybeTrace,
    actor: z.string(),
    reason: maybeText,
  })
  .meta({ id: 'SagaReceipt' });

const params = z.strictObject({ sagaId: id });
const withReason = z.strictObject({ actor, reason });

/** What `throughline saga …` does. */
export function sagaRoutes(database: Database): Route[] {
  const operate = (name: z.output<typeof action>, does: string) =>
    defineRoute({
      method: 'post',
      path: `/admin/sagas/{sagaId}/${name}`,
      operationId: `${name}Saga`,
      summary: does,
      params,
      body: name === 'retry' ? withReason.partial({ reason: true }) : withReason,
      document: receipt,
      refusals: { '404': 'There is no such saga.', '409': 'It is not stuck, or was told something already.' },
      run: async ({ params: { sagaId }, body }) => {
        const { actor: who, reason: why } = body as { actor: string; reason?: string };
        const told = await operateSaga(database, {
          sagaId,
          action: name,
          actor: who,
          reason: why,
          via: 'http',
        });
        return { ...told, actor: who, reason: why };
      },
    });
  return [
    defineRoute({
      method: 'get',
      path: '/admin/sagas',
      operationId: 'listSagas',
      summary: 'Sagas, the newest first.',
      query: z.strictObject({
        state: someOf(SAGA_STATES).optional(),
        order: id.optional(),
        parked: flag.default(false),
        limit,
        after,
      }),
      document: z.strictObject({
        sagas: z.array(z.strictObject(summary).meta({ id: 'SagaSummary' })),
        next: maybeText,
      }),
      run: async ({ query }) => {
        const sagas = await listSagas(database, {
          parked: query.parked,
          limit: query.limit,
          ...(query.state && { states: query.state }),
          ...(query.order !== undefined && { orderKey: query.order }),
          ...(query.after !== undefined && { afterId: query.after }),
        });
        return { sagas, next: sagas.length === query.limit ? sagas.at(-1)?.sagaId : undefined };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/admin/sagas/{sagaId}',
      operationId: 'showSaga',
      summary: 'One saga: its steps, their compensations, and what operators did.',
      params,
      document: detail,
      refusals: { '404': 'There is no such saga.' },
      run: ({ params: { sagaId } }) => readSagaDetail(database, sagaId),
    }),
    operate('retry', 'Tries the stuck compensation again, with all its attempts.'),
    operate('skip', 'Leaves the stuck compensation undone, and goes on with the other ones.'),
    operate('resolve', 'Ends the stuck saga as it is.'),
  ];
}
