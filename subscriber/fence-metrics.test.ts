import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { deliveryOf } from '../test/fakes/delivery.ts';
import { startTestTelemetry } from '../test/fakes/telemetry.ts';
import { countFenced, createFencedSeries } from './fence-metrics.ts';

test('every series is there at 0 before anything is stopped', async () => {
  const telemetry = startTestTelemetry();
  onTestFinished(() => telemetry.stop());
  const delivery = deliveryOf({ name: 'mail.send', version: 1, topic: 'jobs', payload: z.unknown() });
  const series = (action: string) => telemetry.sum('throughline.fence.stopped', { action });
  expect(await telemetry.gauge('throughline.fence.stopped')).toBeUndefined();
  createFencedSeries(delivery.registration ? [delivery.registration] : []);
  expect(await telemetry.gauge('throughline.fence.stopped')).toBe(0);
  countFenced(delivery, 'cancel');
  expect([await series('cancel'), await series('pause'), await series('unknown')]).toEqual([1, 0, 0]);
});
