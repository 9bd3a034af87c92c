import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { done, ThroughlineError } from '../../shared/index.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { oddText } from './hostile-input.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const text = fc.oneof(
  { weight: 5, arbitrary: oddText },
  fc.tuple(oddText, fc.constantFrom(100, 1_025)).map(([one, times]) => one.repeat(times)),
);
const keys = fc.oneof(
  oddText,
  fc.constantFrom('traceparent', 'ce-id', 'content-type', 'googclient_x', 'GOOG', 'x'.repeat(257)),
);
const publishing = fc.record({
  payload: fc.oneof({ weight: 5, arbitrary: fc.record({ text }) }, fc.jsonValue()),
  orderKey: fc.option(text, { nil: undefined }),
  jobId: fc.option(text, { nil: undefined }),
  attributes: fc.dictionary(keys, text, { maxKeys: 4, noNullPrototype: true }),
});

test('what a publisher is given arrives as it was, or is refused by name before it is sent', async () => {
  const channel = await stage.newChannel({ ordered: true });
  const job = channel.job({ orderingKey: (_payload, orderKey) => orderKey });
  const arrived = new Map<
    string,
    { payload: unknown; attributes: Record<string, string>; orderKey: unknown }
  >();
  await channel.work((worker) =>
    worker.handle(job, async ({ payload, message, orderKey }) => {
      arrived.set(message.id, { payload, attributes: { ...message.attributes }, orderKey });
      return done();
    }),
  );
  let sent = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(publishing, async ({ payload, orderKey, jobId, attributes }) => {
      const options = {
        attributes,
        ...(orderKey !== undefined && { orderKey }),
        ...(jobId !== undefined && { jobId }),
      };
      let messageId: string;
      try {
        ({ messageId } = await channel.publisher.publish(job, payload as { text: string }, options));
      } catch (error) {
        refused += 1;
        expect(error).toBeInstanceOf(ThroughlineError);
        const codes = ['PAYLOAD_INVALID', 'MESSAGE_LIMIT', 'ATTRIBUTE_RESERVED', 'ATTRIBUTE_CONFLICT'];
        expect(codes).toContain((error as ThroughlineError).code);
        return;
      }
      sent += 1;
      await channel.settled.final(sent);
      const received = arrived.get(messageId);
      expect(received?.payload).toEqual(payload);
      expect(received?.attributes).toMatchObject(attributes);
      expect(received?.attributes['ce-subject']).toBe(orderKey);
      if (jobId) expect(received?.attributes['ce-id']).toBe(jobId);
      expect(received?.attributes['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    }),
    { numRuns: 150 },
  );
  expect(sent).toBeGreaterThan(20);
  expect(refused).toBeGreaterThan(5);
  expect(await channel.pullNow('dead-letters')).toBe(0);
});
