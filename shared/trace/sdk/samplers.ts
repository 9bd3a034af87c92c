import {
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
} from '@opentelemetry/sdk-trace-base';
import { reservationIn } from '../durable-span.ts';
import { createOrderSampler, type SamplingOptions } from '../sampling.ts';

export function samplerOf(sampling: SamplingOptions | undefined): Sampler {
  return sampling
    ? (createOrderSampler(sampling) as Sampler) // the API's words for it are the SDK's, with a type each
    : new ParentBasedSampler({ root: new AlwaysOnSampler() });
}

/** Decides as `inner` does, and lets durable spans ask beforehand and repeat the answer (durable-span.ts: D1). */
export function reservingSampler(inner: Sampler): Sampler {
  return {
    shouldSample: (parent, ...rest) => {
      const reservation = reservationIn(parent);
      if (reservation?.phase === 'emit') {
        const decision = reservation.sampled
          ? SamplingDecision.RECORD_AND_SAMPLED
          : SamplingDecision.NOT_RECORD;
        return { decision, ...(reservation.traceState && { traceState: reservation.traceState }) };
      }
      const result = inner.shouldSample(parent, ...rest);
      if (!reservation) return result;
      reservation.sampled = result.decision === SamplingDecision.RECORD_AND_SAMPLED;
      return { ...result, decision: SamplingDecision.NOT_RECORD };
    },
    toString: () => `Reserving(${inner.toString()})`,
  };
}
