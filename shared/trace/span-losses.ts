import type { Attributes, Counter, Meter, MeterProvider } from '@opentelemetry/api';
import { count } from './meters.ts';
import { ERROR_TYPE } from './semconv.ts';

const DROPPED = 'throughline.spans.dropped';

/** `rejected`: the receiver took them and did not keep them; the SDK counts them as sent. */
const REASONS = ['queue_full', 'export_failed', 'rejected', 'hold_full', 'work_too_large'] as const;

/** Creates every series at 0: what the SDK counts itself is first seen at the number of the first burst. */
export function createSpanLossSeries(): void {
  for (const reason of REASONS) countLoss(reason, 0);
}

export function countLoss(reason: (typeof REASONS)[number], spans: number): void {
  count(DROPPED, { reason }, spans);
}

/** A meter provider for the SDK's span processors, which counts among what they tell the spans that were lost. */
export function countingLosses(provider: MeterProvider): MeterProvider {
  return {
    getMeter(...given) {
      const meter = provider.getMeter(...given);
      const createCounter: Meter['createCounter'] = (name, options) =>
        listening(meter.createCounter(name, options));
      return Object.assign(Object.create(meter) as Meter, { createCounter });
    },
  };
}

function listening<Labels extends Attributes>(counter: Counter<Labels>): Counter<Labels> {
  return {
    add(value, attributes, context) {
      counter.add(value, attributes, context);
      const error = attributes?.[ERROR_TYPE];
      if (error !== undefined) countLoss(error === 'queue_full' ? 'queue_full' : 'export_failed', value);
    },
  };
}
