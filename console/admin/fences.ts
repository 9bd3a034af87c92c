import { z } from 'zod';
import { addFence, liftFence, listFences } from '../../shared/fence/operate.ts';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import { fenceDocument } from '../fence-document.ts';
import { actor, flag, id, limit, maybeText, maybeTime, maybeTrace, reason, time } from './fields.ts';

const fence = z
  .strictObject({
    fenceId: z.string(),
    action: z.enum(['pause', 'cancel']),
    job: maybeText,
    campaign: maybeText,
    orderKey: maybeText,
    actor: z.string(),
    reason: z.string(),
    addedAt: time,
    liftedAt: maybeTime,
    liftedBy: maybeText,
    liftReason: maybeText,
    traceId: maybeTrace,
  })
  .meta({ id: 'Fence' });

const newFence = z
  .strictObject({
    action: z.enum(['pause', 'cancel']),
    job: id.optional(),
    campaign: id.optional(),
    orderKey: id.optional(),
    actor,
    reason,
  })
  .meta({ id: 'NewFence' });

/** What `throughline fence …` does. */
export function fenceRoutes(database: Database): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/admin/fences',
      operationId: 'listFences',
      summary: 'The fences that stand, the oldest first; with lifted ones the newest first.',
      query: z.strictObject({ all: flag.default(false), limit }),
      document: z.strictObject({ fences: z.array(fence) }),
      run: async ({ query }) => {
        const fences = await listFences(database, { includeLifted: query.all, limit: query.limit });
        return { fences: fences.map(fenceDocument) };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/fences',
      operationId: 'addFence',
      summary: 'Pauses or cancels jobs, at every worker at once.',
      body: newFence,
      document: fence,
      refusals: { '409': 'The same fence stands already.' },
      run: async ({ body: { action, actor: who, reason: why, job, campaign, orderKey } }) => {
        const target = {
          ...(job !== undefined && { job }),
          ...(campaign !== undefined && { campaign }),
          ...(orderKey !== undefined && { orderKey }),
        };
        const added = await addFence(database, { action, target, actor: who, reason: why, via: 'http' });
        return { ...fenceDocument(added.fence), traceId: added.traceId };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/fences/{fenceId}/lift',
      operationId: 'liftFence',
      summary: 'Lifts a fence: what it paused runs, what it cancelled stays so.',
      params: z.strictObject({ fenceId: id }),
      body: z.strictObject({ actor, reason }),
      document: fence,
      refusals: { '404': 'There is no such fence.', '409': 'It was lifted already.' },
      run: async ({ params: { fenceId }, body: { actor: who, reason: why } }) => {
        const lifted = await liftFence(database, { fenceId, actor: who, reason: why, via: 'http' });
        return { ...fenceDocument(lifted.fence), traceId: lifted.traceId };
      },
    }),
  ];
}
