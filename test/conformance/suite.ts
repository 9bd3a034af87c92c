import { afterAll, beforeAll, describe } from 'vitest';
import { handWrittenClient } from './client.ts';
import type { Context } from './context.ts';
import { deadLetters } from './dead-letter.ts';
import { pulling, redelivery } from './delivery.ts';
import { exactlyOnceDelivery } from './exactly-once.ts';
import { filters } from './filters.ts';
import { Fixture } from './fixture.ts';
import { ordering } from './ordering.ts';
import { publishing } from './publishing.ts';
import { refusals } from './refusals.ts';
import { subscriptions, topics } from './resources.ts';
import { flowControl, streaming } from './streaming.ts';
import type { Target } from './target.ts';

const PARTS = {
  publishing,
  topics,
  subscriptions,
  pulling,
  redelivery,
  streaming,
  'flow control': flowControl,
  ordering,
  'dead letters': deadLetters,
  filters,
  'exactly-once delivery': exactlyOnceDelivery,
  refusals,
  'the hand-written client': handWrittenClient,
};

/** Declares all tests of the suite for one implementation of Pub/Sub. */
export function conforms(target: Target): void {
  describe(`${target.name} behaves as Pub/Sub is documented`, () => {
    let fixture: Fixture | undefined;
    beforeAll(async () => {
      fixture = await Fixture.start(target);
    });
    afterAll(() => fixture?.close());
    const context: Context = {
      target,
      fixture: () => {
        if (!fixture) throw new Error('the target has not been started');
        return fixture;
      },
    };
    for (const [name, declare] of Object.entries(PARTS)) describe(name, () => declare(context));
  });
}
