import { z } from 'zod';
import { createMessageOutbox } from '../../publisher/index.ts';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import {
  dropDeadLetter,
  dropDeadLetters,
  LETTER_STATES,
  type LetterFilter,
  listDeadLetters,
  readDeadLetter,
  redriveDeadLetter,
  redriveDeadLetters,
  UnknownDeadLetterError,
} from '../../subscriber/index.ts';
import { letterDocument } from '../letter-document.ts';
import {
  bulkReport,
  dropMany,
  filterFields,
  letter,
  letterReceipt,
  letterSummary,
  redriveMany,
} from './dead-letter-schemas.ts';
import { actor, id, limit, maybeText, reason, someOf } from './fields.ts';

const params = z.strictObject({ letterId: id });
const refusals = {
  '404': 'There is no such dead letter.',
  '409': 'It was settled already, or its job is done, cancelled or in hand.',
};

/** What `throughline dead-letter …` does. */
export function deadLetterRoutes(database: Database): Route[] {
  const outbox = createMessageOutbox({ database });
  return [
    defineRoute({
      method: 'get',
      path: '/admin/dead-letters',
      operationId: 'listDeadLetters',
      summary: 'Dead letters, the newest death first.',
      query: z.strictObject({
        ...filterFields,
        state: someOf(LETTER_STATES).default(['open']),
        limit,
        after: id.optional().describe('`next` of the page before'),
      }),
      document: z.strictObject({ deadLetters: z.array(letterSummary), next: maybeText }),
      run: async ({ query }) => {
        const filter = { ...filterOf(query), states: query.state };
        const letters = await listDeadLetters(database, filter, { limit: query.limit, afterId: query.after });
        const next = letters.length === query.limit ? letters.at(-1)?.letterId : undefined;
        return { deadLetters: letters, next };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/admin/dead-letters/{letterId}',
      operationId: 'showDeadLetter',
      summary: 'One dead letter: why it died, its attributes and its payload.',
      params,
      document: letter,
      refusals: { '404': refusals['404'] },
      run: async ({ params: { letterId } }) => {
        const found = await readDeadLetter(database, letterId);
        if (!found) throw new UnknownDeadLetterError(letterId);
        return letterDocument(found);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/dead-letters/redrive',
      operationId: 'redriveDeadLetters',
      summary: 'Sends all open ones of a filter again, at a rate. To hang up stops it between two letters.',
      body: redriveMany,
      document: bulkReport,
      run: async ({ body: { filter, all: _, ...body }, signal }) => {
        const options = { ...body, filter: filterOf(filter), signal, via: 'http' } as const;
        const report = await redriveDeadLetters(database, outbox, options);
        return { ...report, action: 'redrive', actor: body.actor, reason: body.reason };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/dead-letters/drop',
      operationId: 'dropDeadLetters',
      summary: 'Leaves all open ones of a filter dead for good.',
      body: dropMany,
      document: bulkReport,
      run: async ({ body: { filter, all: _, ...body }, signal }) => {
        const options = { ...body, filter: filterOf(filter), signal, via: 'http' } as const;
        const report = await dropDeadLetters(database, options);
        return { ...report, action: 'drop', actor: body.actor, reason: body.reason };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/dead-letters/{letterId}/redrive',
      operationId: 'redriveDeadLetter',
      summary: 'Sends the dead job again, under its id and with fresh attempts.',
      params,
      body: z.strictObject({ actor, reason: reason.optional() }),
      document: letterReceipt,
      refusals,
      run: async ({ params: { letterId }, body }) => {
        const receipt = await redriveDeadLetter(database, outbox, { letterId, ...body, via: 'http' });
        return { ...receipt, action: 'redrive', actor: body.actor, reason: body.reason };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/admin/dead-letters/{letterId}/drop',
      operationId: 'dropDeadLetter',
      summary: 'Leaves the dead job dead for good.',
      params,
      body: z.strictObject({ actor, reason }),
      document: letterReceipt,
      refusals,
      run: async ({ params: { letterId }, body }) => {
        const receipt = await dropDeadLetter(database, { letterId, ...body, via: 'http' });
        return { ...receipt, action: 'drop', actor: body.actor, reason: body.reason };
      },
    }),
  ];
}

type FilterFields = { readonly [Name in keyof typeof filterFields]?: z.output<(typeof filterFields)[Name]> };

function filterOf(fields: FilterFields = {}): LetterFilter {
  const { type, order, job, saga, topic, reasonHas, error, since, until } = fields;
  return {
    ...{ jobType: type, orderKey: order, jobId: job, sagaId: saga, topic },
    ...{ reason: reasonHas, errorType: error, since, until },
  };
}
