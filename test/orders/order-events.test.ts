import { EventEmitter } from 'node:events';
import { trace } from '@opentelemetry/api';
import type { Response } from 'express';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOrderEvents } from '../../orders/http/order-events.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import { inSpan } from '../../shared/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';

let telemetry: TestTelemetry;
beforeAll(() => {
  telemetry = startTestTelemetry();
});
afterAll(() => telemetry.stop());

test('what a stream reads is in the trace of no request, neither its own nor that of a change', async () => {
  const events = createOrderEvents();
  const order = { sagaId: 's-1', state: 'waiting' } as OrderView;
  const [changed, polled] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()];
  let reads = 0;
  const read = async () => {
    reads += 1;
    (reads === 1 ? changed : polled).resolve(trace.getActiveSpan());
    return order;
  };
  const response = Object.assign(new EventEmitter(), { writeHead() {}, write() {}, end() {} });
  await inSpan('GET events', {}, async () => {
    expect(trace.getActiveSpan()).toBeDefined();
    events.stream(response as unknown as Response, order, read);
    events.changed(['s-1']);
  });
  expect([await changed.promise, await polled.promise]).toEqual([undefined, undefined]);
  events.close();
});
