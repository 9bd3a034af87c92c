import { expect, test } from 'vitest';
import { condense } from './condense.ts';
import { normalisedTree } from './normalised-tree.ts';
import type { SpanRecord } from './span-record.ts';

function span(name: string, parentSpanId: string | undefined, more: Partial<SpanRecord> = {}): SpanRecord {
  return {
    traceId: '1'.repeat(32),
    spanId: Buffer.from(name.padEnd(8).slice(0, 8)).toString('hex'),
    ...(parentSpanId !== undefined && { parentSpanId }),
    name,
    kind: 'INTERNAL',
    service: 'shop',
    startMs: 1,
    endMs: 2,
    status: { code: 'UNSET' },
    attributes: {},
    events: [],
    links: [],
    ...more,
  };
}

const server = span('POST /orders', undefined);
const handler = span('request handler', server.spanId, { attributes: { 'express.type': 'request_handler' } });
const saga = span('saga', handler.spanId);
const statement = span('query', saga.spanId, { attributes: { 'db.system.name': 'postgresql' } });
const call = span('card.redeem', saga.spanId);
const http = span('POST', call.spanId, { attributes: { 'http.request.method': 'POST' } });
const broken = { ...http, spanId: 'f'.repeat(16), status: { code: 'ERROR' as const } };
const partner = span('v1 redeem', http.spanId);
const resume = span('resume', saga.spanId, {
  links: [{ traceId: handler.traceId, spanId: handler.spanId, attributes: {} }],
});

test('leaves plumbing out, and hangs what was below it on what was above it', () => {
  const condensed = condense([server, handler, saga, statement, call, http, broken, partner, resume]);
  expect(normalisedTree(condensed).split('\n')).toEqual([
    'POST /orders [shop]',
    '  saga [shop]',
    '    card.redeem [shop]',
    '      POST [shop] error=ERROR',
    '      v1 redeem [shop]',
    '    resume [shop] link:unexplained→POST /orders',
  ]);
});

test('tells a failure once: where the span above failed too, that is enough', () => {
  const failedCall = { ...call, status: { code: 'ERROR' as const } };
  expect(condense([saga, failedCall, broken]).map(({ name }) => name)).toEqual(['saga', 'card.redeem']);
});

test('parents in a circle do not keep it busy for ever', () => {
  const one = { ...handler, parentSpanId: http.spanId };
  const other = { ...http, parentSpanId: handler.spanId };
  expect(condense([one, other, { ...saga, parentSpanId: one.spanId }])).toHaveLength(1);
});
