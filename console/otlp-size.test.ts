import { expect, it } from 'vitest';
import { sendTraces } from '../test/support/stored-traces.ts';
import { sizeOfTraces } from './otlp-size.ts';
import { MalformedOtlpError } from './otlp-value.ts';

it('says of stored traces how large they were when the SDK sent them', async () => {
  const { bytes, stored } = await sendTraces(40);
  const sizes = sizeOfTraces(stored);
  expect(sizes).toMatchObject({ traces: 40, spans: 80 });
  expect(Math.abs(sizes.bytes / bytes - 1)).toBeLessThan(0.06);
});

it('takes nothing for nothing, and refuses what is no OTLP', () => {
  expect(sizeOfTraces({})).toEqual({ traces: 0, spans: 0, bytes: 0 });
  expect(() => sizeOfTraces({ resourceSpans: 'all of them' })).toThrow(MalformedOtlpError);
  expect(() => sizeOfTraces({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: 5 }] }] }] })).toThrow(
    MalformedOtlpError,
  );
});
