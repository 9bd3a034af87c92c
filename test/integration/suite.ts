import { afterAll, beforeAll, describe } from 'vitest';
import type { PubSubTarget } from '../support/pubsub-target.ts';
import { SOURCE_KINDS, type SourceKind } from '../support/source-kind.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { baggage } from './baggage.ts';
import { bulk } from './bulk.ts';
import { deadLetters } from './dead-letters.ts';
import { foreignMessages, googleClientProcess } from './foreign-messages.ts';
import { leases } from './leases.ts';
import { linkedSpans } from './linked-spans.ts';
import { ordering } from './ordering.ts';
import { stopping } from './stopping.ts';
import { topology } from './topology.ts';

/** What a part of the suite is given; the stage exists only inside a test. */
export interface Setting {
  readonly stage: () => Stage;
  readonly source: SourceKind;
}

const FOR_EACH_SOURCE = {
  'linked spans': linkedSpans,
  'dead letters': deadLetters,
  'messages of strangers': foreignMessages,
  baggage,
  ordering,
  bulk,
  stopping,
};

/** Declares the integration tests for one Pub/Sub. */
export function integrates(target: PubSubTarget): void {
  let running: Stage | undefined;
  const stage = () => {
    if (!running) throw new Error(`${target.name} has not been started`);
    return running;
  };
  beforeAll(async () => {
    running = await startStage(target);
  }, 60_000);
  afterAll(() => running?.close());

  for (const source of SOURCE_KINDS) {
    describe(`with ${source.name}`, () => {
      for (const [name, declare] of Object.entries(FOR_EACH_SOURCE)) {
        describe(name, () => declare({ stage, source }));
      }
    });
  }
  describe('topology', () => topology(stage));
  describe("Google's client with its own tracing", () => googleClientProcess(stage));
  describe('leases', () => leases(stage));
}
