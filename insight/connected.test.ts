import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  LINK_REASON,
  ORDER_KEY,
  SAGA_COMPENSATION_ORIGINAL_SPAN_ID,
  SAGA_STEP,
} from '../shared/trace/semconv.ts';
import { assertConnected, DisconnectedTraceError, findDisconnections } from './connected.ts';
import { childOf, link, makeSpan, ORDER, type OrderPlan, orderTrace } from './fixtures/order-trace.ts';
import type { SpanRecord } from './span-record.ts';

const STEPS = [
  { name: 'redeem-card', kind: 'call', attempts: 1, isLate: false },
  { name: 'set-up-workspace', kind: 'job', attempts: 2, isLate: false },
] as const;
const good = orderTrace({ steps: STEPS, fails: true, resumes: true });
const late = orderTrace({ steps: [{ ...STEPS[1], isLate: true }], fails: false, resumes: false });

type Change = Partial<SpanRecord> | ((span: SpanRecord) => Partial<SpanRecord>);

function changed(spans: readonly SpanRecord[], name: string, change: Change): SpanRecord[] {
  const details = (span: SpanRecord) => (typeof change === 'function' ? change(span) : change);
  return spans.map((span) => (span.name === name ? { ...span, ...details(span) } : span));
}

function without(spans: readonly SpanRecord[], name: string): SpanRecord[] {
  return spans.filter((span) => span.name !== name);
}

function named(spans: readonly SpanRecord[], name: string): SpanRecord {
  const span = spans.find((one) => one.name === name);
  if (!span) throw new Error(`the fixture has no span ${name}`);
  return span;
}

const cutLinks: Change = { links: [] };
const withAttributes =
  (attributes: Record<string, unknown>): Change =>
  (span) => ({ attributes: { ...span.attributes, ...attributes } });
const problems = (spans: readonly SpanRecord[], key = ORDER) =>
  findDisconnections(spans, key).map((one) => `${one.kind} ${'span' in one ? one.span.name : ''}`.trim());

describe('a whole order', () => {
  test('is connected with retries, compensations and a callback in another trace', () => {
    expect(findDisconnections(good, ORDER)).toEqual([]);
    expect(() => assertConnected(late, ORDER)).not.toThrow();
  });

  test('may stand among other orders, and may have been exported twice', () => {
    const other = orderTrace({ steps: STEPS, fails: false, resumes: false }, 'order-2');
    expect(problems([...good, ...other.slice(1), ...good])).toEqual([]);
    expect(problems([...good, ...other.slice(1)], 'order-2')).toContain('orphan saga workspace-card-order');
  });

  test('may link to an attempt that was killed and never reported', () => {
    const gone = makeSpan({ name: 'killed' });
    const spans = changed(good, 'process workspace-jobs', (span) => ({
      links: [...span.links, link(gone, 'previous-attempt')],
    }));
    expect(problems(spans)).toEqual([]);
  });

  test('may have several children of one declared external parent', () => {
    const children = ['a', 'b'].map((name) =>
      makeSpan({ name, parentSpanId: 'e'.repeat(16), attributes: { [ORDER_KEY]: ORDER } }),
    );
    expect(findDisconnections(children, ORDER, { externalParents: ['e'.repeat(16)] })).toEqual([]);
    expect(problems(children)).toEqual(['orphan a', 'orphan b', 'island b']);
  });

  test('may be caused by an operation that serves several orders and bears no key', () => {
    const redrive = makeSpan({ name: 'redrive workspace-jobs', traceId: 'a'.repeat(32) });
    const sends = ['order-1', 'order-2'].map((key) =>
      makeSpan({
        ...childOf(redrive),
        name: `send ${key}`,
        kind: 'PRODUCER',
        attributes: { [ORDER_KEY]: key },
        links: [link(named(good, 'saga workspace-card-order'), 'caused-by')],
      }),
    );
    expect(problems([...good, redrive, ...sends])).toEqual([]);
  });
});

describe('a broken order', () => {
  test('without any span is reported', () => {
    expect(problems(good, 'order-9')).toEqual(['no-spans']);
    expect(problems([])).toEqual(['no-spans']);
  });

  test('with an orphan is reported, unless its parent is declared external', () => {
    const spans = without(good, 'POST /orders');
    const parent = named(good, 'POST /orders').spanId;
    expect(problems(spans)).toEqual(['orphan saga workspace-card-order']);
    expect(findDisconnections(spans, ORDER, { externalParents: [parent] })).toEqual([]);
  });

  test('with a second graph is reported', () => {
    const spans = changed(
      changed(good, 'POST /3ds-callback', cutLinks),
      'resume workspace-card-order',
      cutLinks,
    );
    expect(problems(spans)).toEqual(['island POST /3ds-callback']);
  });

  test('whose parents form a circle is reported', () => {
    const last = named(good, 'POST');
    const spans = changed(good, 'POST /orders', { parentSpanId: last.spanId });
    expect(problems(spans)).toEqual(['circle POST /orders']);
  });

  test.each([
    ['POST /orders'],
    ['saga workspace-card-order'],
    ['PUT'],
    ['POST /3ds-callback'],
    ['compensate redeem-card'],
    ['process workspace-jobs'],
  ])('whose span %s lacks the order key is reported', (name) => {
    const spans = changed(good, name, withAttributes({ [ORDER_KEY]: undefined }));
    expect(new Set(problems(spans))).toEqual(new Set([`order-key-missing ${name}`]));
  });
});

describe('a compensation', () => {
  const name = 'compensate redeem-card';
  const relinked = (target: string): Change => ({ links: [link(named(good, target), 'undoes')] });

  test('without a link is reported', () => {
    expect(problems(changed(good, name, cutLinks))).toEqual([`undoes-missing ${name}`]);
    const unexplained = changed(good, name, (span) => ({
      links: span.links.map((one) => ({ ...one, attributes: { [LINK_REASON]: 'caused-by' } })),
    }));
    expect(problems(unexplained)).toEqual([`undoes-missing ${name}`]);
  });

  test('of a step that was never reported is reported', () => {
    const gone = named(good, 'step redeem-card').spanId;
    const spans = good.filter((span) => span.spanId !== gone && span.parentSpanId !== gone);
    expect(problems(spans)).toEqual([`undoes-unreported ${name}`]);
  });

  test.each([['step set-up-workspace'], ['saga workspace-card-order'], ['compensate redeem-card']])(
    'that is linked to %s is reported twice: wrong step, attributes that differ',
    (target) => {
      expect(problems(changed(good, name, relinked(target)))).toEqual([
        `undoes-wrong-step ${name}`,
        `original-ids-differ ${name}`,
      ]);
    },
  );

  test("that undoes another order's step of the same name is reported", () => {
    const other = orderTrace({ steps: STEPS, fails: false, resumes: false }, 'order-2');
    const spans = changed(good, name, { links: [link(named(other, 'step redeem-card'), 'undoes')] });
    expect(problems([...spans, ...other])).toContain(`undoes-wrong-step ${name}`);
  });

  test('that undoes a step of another saga of the same order is reported', () => {
    const spans = changed(good, 'step redeem-card', withAttributes({ 'saga.id': 'saga-1' }));
    expect(problems(changed(spans, name, withAttributes({ 'saga.id': 'saga-1' })))).toEqual([]);
    expect(problems(changed(spans, name, withAttributes({ 'saga.id': 'saga-2' })))).toEqual([
      `undoes-wrong-step ${name}`,
    ]);
  });

  test('is known by its attribute too, whatever its name', () => {
    const spans = changed(good, name, { name: 'process refunds', links: [] });
    expect(problems(spans)).toEqual(['undoes-missing process refunds']);
  });

  test('whose trace id attribute does not repeat the link is reported', () => {
    const change = withAttributes({ 'saga.compensation.original_trace_id': 'f'.repeat(32) });
    expect(problems(changed(good, name, change))).toEqual([`original-ids-differ ${name}`]);
  });

  test('whose attributes do not repeat the link is reported', () => {
    for (const value of [undefined, 'f'.repeat(16)]) {
      const change = withAttributes({ [SAGA_COMPENSATION_ORIGINAL_SPAN_ID]: value });
      expect(problems(changed(good, name, change))).toEqual([`original-ids-differ ${name}`]);
    }
  });

  test("may undo a job's step through the worker's process span", () => {
    const spans = changed(
      good,
      'process workspace-jobs',
      withAttributes({ [SAGA_STEP]: 'set-up-workspace' }),
    );
    const process = named(spans, 'process workspace-jobs');
    const relink: Change = (span) => ({
      links: [link(process, 'undoes')],
      attributes: { ...span.attributes, [SAGA_COMPENSATION_ORIGINAL_SPAN_ID]: process.spanId },
    });
    expect(problems(changed(spans, 'compensate set-up-workspace', relink))).toEqual([]);
  });
});

describe('a processed message', () => {
  const name = 'process workspace-jobs';

  test('whose send span is missing is reported, as parent and as link', () => {
    expect(problems(without(good, 'send workspace-jobs'))).toContain(`send-missing ${name}`);
    expect(problems(without(late, 'send workspace-jobs'))).toContain(`send-missing ${name}`);
  });

  test('may have a send span that is declared external', () => {
    for (const spans of [good, late]) {
      const gone = named(spans, 'send workspace-jobs');
      const options = { externalParents: [gone.spanId] };
      const left = without(spans, gone.name);
      const kinds = findDisconnections(left, ORDER, options).map(({ kind }) => kind);
      expect(kinds).not.toContain('send-missing');
    }
  });

  test('that is a new root without a producer link is reported', () => {
    expect(problems(changed(late, name, cutLinks))).toContain(`send-missing ${name}`);
  });

  test('whose parent sends nothing is reported although it links to its producer', () => {
    const parentSpanId = named(good, 'step set-up-workspace').spanId;
    expect(problems(changed(good, name, { parentSpanId }))).toEqual([
      `send-missing ${name}`,
      `send-missing ${name}`,
    ]);
  });

  test("that is tied to another job's send span is reported", () => {
    const spans = changed(good, 'send workspace-jobs', withAttributes({ 'throughline.job.id': 'another' }));
    expect(problems(spans)).toContain(`send-missing ${name}`);
  });

  test('that came without any context needs no send span', () => {
    const lone = makeSpan({
      name,
      kind: 'CONSUMER',
      attributes: { [ORDER_KEY]: 'order-3', 'throughline.context.source': 'none' },
    });
    expect(problems([lone], 'order-3')).toEqual([]);
    expect(problems([{ ...lone, attributes: { [ORDER_KEY]: 'order-3' } }], 'order-3')).toEqual([
      `send-missing ${name}`,
    ]);
  });
});

test('the error lists every problem and names its span, service and ids', () => {
  const spans = changed(without(good, 'POST /orders'), 'compensate redeem-card', cutLinks);
  const saga = named(spans, 'saga workspace-card-order');
  let thrown: unknown;
  try {
    assertConnected(spans, ORDER);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(DisconnectedTraceError);
  const { message, disconnections } = thrown as DisconnectedTraceError;
  expect(disconnections).toHaveLength(2);
  expect(message).toContain('order "order-1" is not connected, 2 problems');
  expect(message).toContain(
    `"saga workspace-card-order" of shop (trace ${saga.traceId}, span ${saga.spanId})`,
  );
  expect(message).toContain('"compensate redeem-card" of shop');
});

describe('any order trace', () => {
  const step = fc.record({
    name: fc.constantFrom('redeem-card', 'settle-payment', 'acquire-domain', 'set-up-workspace'),
    kind: fc.constantFrom('call' as const, 'job' as const),
    attempts: fc.integer({ min: 1, max: 3 }),
    isLate: fc.boolean(),
  });
  const plan: fc.Arbitrary<OrderPlan> = fc.record({
    steps: fc.uniqueArray(step, { selector: ({ name }) => name, minLength: 1, maxLength: 4 }),
    fails: fc.boolean(),
    resumes: fc.boolean(),
  });

  test('is connected in whatever order its spans arrive', () => {
    const shuffled = plan.chain((one) => {
      const spans = orderTrace(one);
      return fc.shuffledSubarray(spans, { minLength: spans.length });
    });
    fc.assert(
      fc.property(shuffled, (spans) => {
        expect(problems(spans)).toEqual([]);
      }),
    );
  });

  test('fails when any span with children is removed', () => {
    fc.assert(
      fc.property(plan, fc.nat(), (one, pick) => {
        const spans = orderTrace(one);
        const parents = spans.filter(({ spanId }) =>
          spans.some(({ parentSpanId }) => parentSpanId === spanId),
        );
        const removed = parents[pick % parents.length];
        expect(problems(spans.filter((span) => span !== removed))).not.toEqual([]);
      }),
    );
  });

  test('fails when any needed link is cut or any order key is lost', () => {
    fc.assert(
      fc.property(plan, fc.nat(), fc.boolean(), (one, pick, cutsLink) => {
        const spans = orderTrace(one);
        const isNeeded = (span: SpanRecord) =>
          span.name.startsWith('compensate ') ||
          (span.kind === 'CONSUMER' && span.parentSpanId === undefined);
        const candidates = cutsLink ? spans.filter(isNeeded) : spans;
        fc.pre(candidates.length > 0);
        const victim = candidates[pick % candidates.length];
        const damage = cutsLink ? { links: [] } : { attributes: {} };
        expect(problems(spans.map((span) => (span === victim ? { ...span, ...damage } : span)))).not.toEqual(
          [],
        );
      }),
    );
  });
});
