import {
  type Baggage,
  type Context,
  propagation,
  ROOT_CONTEXT,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import {
  CompositePropagator,
  isTracingSuppressed,
  suppressTracing,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrderBaggage } from './order-baggage.ts';
import { OtTraceState } from './ot-trace-state.ts';
import { createW3CPropagator } from './w3c-propagator.ts';

const traceContext = new W3CTraceContextPropagator();
const baggage = new W3CBaggagePropagator();
const library = new CompositePropagator({ propagators: [traceContext, baggage] });
const ours = createW3CPropagator({ traceContext, baggage, isTracingSuppressed });

type Headers = Record<string, string>;
const getter = {
  keys: (headers: Headers) => Object.keys(headers),
  get: (headers: Headers, key: string) => headers[key],
};

function written(propagator: TextMapPropagator, context: Context): Headers {
  const headers: Headers = {};
  propagator.inject(context, headers, {
    set: (target: Headers, key, value) => Object.assign(target, { [key]: value }),
  });
  return headers;
}

function read(propagator: TextMapPropagator, headers: Headers) {
  const context = propagator.extract(ROOT_CONTEXT, headers, getter);
  const span = trace.getSpanContext(context);
  return {
    span: span && { ...span, traceState: span.traceState?.serialize() },
    baggage: propagation
      .getBaggage(context)
      ?.getAllEntries()
      .map(([key, { value }]) => [key, value]),
  };
}

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const ids = {
  trace: fc.oneof(hex(32), fc.constant('0'.repeat(32))),
  span: fc.oneof(hex(16), fc.constant('0'.repeat(16))),
};
const traceparent = fc.oneof(
  fc
    .tuple(hex(32), hex(16), fc.integer({ min: 0, max: 3 }))
    .map(([traceId, spanId, flags]) => `00-${traceId}-${spanId}-0${flags}`),
  fc.tuple(ids.trace, ids.span, hex(2)).map(([traceId, spanId, flags]) => `00-${traceId}-${spanId}-${flags}`),
  fc
    .tuple(hex(2), ids.trace, ids.span)
    .map(([version, traceId, spanId]) => `${version}-${traceId}-${spanId}-01-x`),
  fc.string(),
);
const member = fc.tuple(fc.string({ minLength: 1 }), fc.string()).map(([key, value]) => `${key}=${value}`);
const orderMembers = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9._~-]{0,20}$/).map((key) => `order.event_id=${key}`),
  fc.tuple(fc.string(), fc.string()).map(([key, id]) => `order.event_id=${key},saga.id=${id}`),
);
const plainMember = fc.stringMatching(/^[a-z.]{1,9}=[A-Za-z0-9._~-]{0,9}$/);
const baggageHeader = fc.oneof(
  orderMembers,
  fc.array(fc.oneof(plainMember, plainMember, member), { maxLength: 12 }).map((all) => all.join(',')),
);

const otMember = fc.oneof(
  hex(14).map((rv) => `rv:${rv}`),
  fc.stringMatching(/^th:[0-9a-f]{1,14}$/),
  fc.stringMatching(/^[a-z][a-z0-9]{0,3}:[A-Za-z0-9._-]{0,9}$/),
  fc.string({ maxLength: 9 }),
);
const tracestate = fc.oneof(
  fc.array(otMember, { minLength: 1, maxLength: 4 }).map((all) => `ot=${all.join(';')}`),
  fc.array(otMember, { minLength: 1, maxLength: 2 }).map((all) => `vendor=1,ot=${all.join(';')}`),
  fc.string(),
);

describe('the W3C propagator', () => {
  it("reads whatever is sent as OpenTelemetry's own propagators do", () => {
    const headers = fc.record({ traceparent, tracestate, baggage: baggageHeader }, { requiredKeys: [] });
    fc.assert(
      fc.property(headers, (sent) => {
        expect(read(ours, sent)).toEqual(read(library, sent));
      }),
      { numRuns: 2_000 },
    );
  });

  it("writes whatever context there is as OpenTelemetry's own propagators do", () => {
    const entries = fc.dictionary(fc.string({ minLength: 1 }), fc.record({ value: fc.string() }), {
      maxKeys: 12,
    });
    const span = fc.record({
      traceId: ids.trace,
      spanId: ids.span,
      traceFlags: fc.integer({ min: 0, max: 15 }),
      traceState: fc.oneof(
        fc.constant(undefined),
        hex(14).map((rv) => new OtTraceState(`rv:${rv}`)),
        hex(14).map((rv) => new OtTraceState(`rv:${rv};th:f3`).set('vendor', '1')),
      ),
    });
    const property = fc.property(fc.option(span), fc.option(entries), (spanContext, members) => {
      let context = ROOT_CONTEXT;
      if (spanContext) {
        const { traceState, ...others } = spanContext;
        context = trace.setSpanContext(context, traceState ? { ...others, traceState } : others);
      }
      if (members) context = propagation.setBaggage(context, propagation.createBaggage(members));
      expect(written(ours, context)).toEqual(written(library, context));
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  it('writes an order key as it would be written in ordinary baggage', () => {
    const property = fc.property(
      fc.string(),
      fc.option(fc.string(), { nil: undefined }),
      (orderKey, sagaId) => {
        const ordinary: Record<string, { value: string }> = { 'order.event_id': { value: orderKey } };
        if (sagaId !== undefined) ordinary['saga.id'] = { value: sagaId };
        const inContext = (baggage: Baggage) => propagation.setBaggage(ROOT_CONTEXT, baggage);
        const expected = written(library, inContext(propagation.createBaggage(ordinary)));
        expect(written(ours, inContext(new OrderBaggage(orderKey, sagaId)))).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: 1_000 });
  });

  it('writes nothing while tracing is suppressed', () => {
    const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const context = suppressTracing(trace.setSpanContext(ROOT_CONTEXT, span));
    expect(written(ours, context)).toEqual(written(library, context));
    expect(written(ours, context)).toEqual({});
  });

  it('names the headers that it may write', () => {
    expect(ours.fields()).toEqual(library.fields());
  });
});
