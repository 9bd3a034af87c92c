import { z } from 'zod';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import { listJobs } from '../jobs/find-jobs.ts';
import { jobDocument } from '../jobs/job-document.ts';
import { JOB_STATES } from '../jobs/job-state.ts';
import { showJob } from '../jobs/show-job.ts';
import { letterSummary, payload } from './dead-letter-schemas.ts';
import { after, id, instant, limit, maybe, maybeText, maybeTime, maybeTrace, someOf } from './fields.ts';

const job = z
  .strictObject({
    jobId: z.string(),
    consumer: maybeText,
    jobType: maybeText,
    orderKey: maybeText,
    state: z.enum(JOB_STATES),
    attempts: z.int(),
    sends: maybe(z.int()),
    reason: maybeText,
    ageMs: z.number(),
    enqueuedAt: maybeTime,
    dueAt: maybeTime,
    sentAt: maybeTime,
    claimedAt: maybeTime,
    finishedAt: maybeTime,
    cancelledBy: maybeText,
    fenceId: maybeText,
    letterId: maybeText,
    traceId: maybeTrace,
  })
  .meta({ id: 'Job' });

const detail = z
  .strictObject({
    jobId: z.string(),
    consumers: z.array(job),
    message: maybe(
      z.strictObject({
        from: z.enum(['outbox', 'dead-letter']),
        topic: z.string(),
        orderingKey: maybeText,
        attributes: z.record(z.string(), z.string()),
        carrier: z.record(z.string(), z.string()),
        ...payload,
      }),
    ),
    deadLetters: z.array(letterSummary),
  })
  .meta({ id: 'JobDetail' });

/** What `throughline job …` does. */
export function jobRoutes(database: Database): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/admin/jobs',
      operationId: 'listJobs',
      summary: 'Jobs, the newest first, without payloads.',
      query: z.strictObject({
        job: id.optional().describe('A name (workspace.set-up) or a type (workspace.set-up.v1)'),
        order: id.optional(),
        state: someOf(JOB_STATES).optional(),
        since: instant.optional(),
        limit,
        after,
      }),
      document: z.strictObject({ jobs: z.array(job), next: maybeText }),
      run: ({ query }) =>
        listJobs(database, {
          filter: { job: query.job, orderKey: query.order, states: query.state, since: query.since },
          after: query.after,
          limit: query.limit,
        }),
    }),
    defineRoute({
      method: 'get',
      path: '/admin/jobs/{jobId}',
      operationId: 'showJob',
      summary: 'One job, with its payload, its dead letters, and who cancelled it.',
      params: z.strictObject({ jobId: id }),
      document: detail,
      refusals: { '404': 'There is no such job, or it is forgotten.' },
      run: async ({ params: { jobId } }) => jobDocument(await showJob(database, jobId)),
    }),
  ];
}
