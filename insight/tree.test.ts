import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { childOf, link, makeSpan, orderTrace } from './fixtures/order-trace.ts';
import { normalisedTree } from './normalised-tree.ts';
import { renderTree } from './tree.ts';

const START_MS = 1_700_000_000_000;
const order = orderTrace({
  steps: [
    { name: 'redeem-card', kind: 'call', attempts: 1, isLate: false },
    { name: 'set-up-workspace', kind: 'job', attempts: 2, isLate: false },
  ],
  fails: true,
  resumes: true,
}).map((span, _, all) => {
  const first = all.find(({ name }) => name === 'process workspace-jobs');
  if (span !== first) return span;
  return {
    ...span,
    endMs: span.startMs + 1_834,
    status: { code: 'ERROR', message: 'The directory gave no answer within 2000 ms' } as const,
    attributes: {
      ...span.attributes,
      'error.type': 'PARTNER_TIMEOUT',
      'throughline.job.outcome': 'retry',
    },
  };
});

describe('the tree for people', () => {
  test('shows branches, services, durations, attempts, errors and links in columns', () => {
    expect(`\n${renderTree(order)}\n`).toBe(`
POST /orders                        shop    5.0 ms
└─ saga workspace-card-order        shop    5.0 ms
   ├─ step redeem-card              shop    5.0 ms
   │  └─ POST                       shop    5.0 ms
   ├─ step set-up-workspace         shop    5.0 ms
   │  └─ send workspace-jobs        shop    5.0 ms
   │     ├─ process workspace-jobs  worker  1.83 s  attempt 1  → retry
   │     │  │                                       ✗ PARTNER_TIMEOUT: The directory gave no answer…
   │     │  └─ PUT                  worker  5.0 ms
   │     └─ process workspace-jobs  worker  5.0 ms  attempt 2  ⇠ attempt 1
   │        └─ PUT                  worker  5.0 ms
   ├─ resume workspace-card-order   shop    5.0 ms  ⇠ caused by POST /3ds-callback
   ├─ compensate set-up-workspace   shop    5.0 ms  ↩ undoes step set-up-workspace
   │                                                ⇠ failed step set-up-workspace
   └─ compensate redeem-card        shop    5.0 ms  ↩ undoes step redeem-card
                                                    ⇠ failed step set-up-workspace
POST /3ds-callback                  shop    5.0 ms  ⇠ caused by saga workspace-card-order
└─ SELECT                           shop    5.0 ms
`);
  });

  test('in colour says the same', () => {
    const coloured = renderTree(order, { color: true });
    expect(coloured).not.toBe(renderTree(order));
    expect(stripVTControlCharacters(coloured)).toBe(renderTree(order));
  });

  test('stays within the width it is given', () => {
    for (const width of [80, 100, 140]) {
      const widest = Math.max(
        ...renderTree(order, { width })
          .split('\n')
          .map((line) => [...line].length),
      );
      expect(widest).toBeLessThanOrEqual(width);
    }
  });

  test('says when a link target or a parent was never reported', () => {
    const gone = makeSpan({ name: 'gone' });
    const span = makeSpan({
      name: 'process workspace-jobs',
      ...childOf(gone),
      links: [link(gone, 'previous-attempt'), link(gone, 'undoes')],
    });
    const text = renderTree([span], { width: 200 });
    expect(text).toContain('⇠ previous attempt (never reported)');
    expect(text).toContain('↩ undoes a step (never reported)');
    expect(text).toContain('parent never reported');
  });

  test('shows a producer link only where it does not repeat the parent', () => {
    const send = makeSpan({ name: 'send workspace-jobs' });
    const links = [link(send, 'producer')];
    const child = makeSpan({ name: 'child', ...childOf(send), links });
    const late = makeSpan({ name: 'late', traceId: 'b'.repeat(32), links });
    const [, childLine, lateLine] = renderTree([send, child, late]).split('\n');
    expect(childLine).not.toContain('⇠');
    expect(lateLine).toContain('⇠ from send workspace-jobs');
  });

  test('shows how long a suspended saga waited', () => {
    const saga = makeSpan({ name: 'saga', attributes: { 'saga.wait_ms': 61_000 } });
    expect(renderTree([saga])).toContain('waited 1 min 1 s');
  });

  test("lets no span's name or error move the cursor or break the line", () => {
    const hostile = makeSpan({
      name: 'a\u001b[2Jb\nc\u202ed',
      service: 's\r',
      status: { code: 'ERROR', message: '\u0007\u009b31m!' },
    });
    const text = renderTree([hostile]);
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(text).toContain('ab c d');
  });

  test('keeps the name readable however deep the span stands', () => {
    const id = (depth: number) => depth.toString(16).padStart(16, '0');
    const chain = Array.from({ length: 60 }, (_, depth) =>
      makeSpan({ name: `depth ${depth + 1}`, spanId: id(depth + 2), parentSpanId: id(depth + 1) }),
    );
    const last = renderTree(chain).split('\n').at(-1) ?? '';
    expect(last).toContain('└─ depth 60');
    expect([...last].length).toBeLessThanOrEqual(100);
  });

  test('of nothing is empty', () => {
    expect(renderTree([])).toBe('');
  });
});

describe('the tree for tests', () => {
  test('has names in place of ids and no times', () => {
    expect(`\n${normalisedTree(order)}\n`).toBe(`
POST /orders [shop]
  saga workspace-card-order [shop]
    step redeem-card [shop]
      POST [shop]
    step set-up-workspace [shop]
      send workspace-jobs [shop]
        process workspace-jobs [worker] attempt=1 error=PARTNER_TIMEOUT link:producer→send workspace-jobs
          PUT [worker]
        process workspace-jobs [worker] attempt=2 link:producer→send workspace-jobs link:previous-attempt→process workspace-jobs
          PUT [worker]
    resume workspace-card-order [shop] link:caused-by→POST /3ds-callback
    compensate set-up-workspace [shop] link:undoes→step set-up-workspace link:failed-step→step set-up-workspace
    compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step set-up-workspace
POST /3ds-callback [shop] link:caused-by→saga workspace-card-order
  SELECT [shop]
`);
  });

  test('does not depend on the order of arrival', () => {
    expect(normalisedTree(order.toReversed())).toBe(normalisedTree(order));
  });

  test('orders siblings by start time, then by name', () => {
    const root = makeSpan({ name: 'root' });
    const at = (name: string, startMs: number) => makeSpan({ name, ...childOf(root), startMs });
    const spans = [root, at('c', START_MS + 1), at('b', START_MS + 2), at('a', START_MS + 2)];
    expect(normalisedTree(spans)).toBe('root [shop]\n  c [shop]\n  a [shop]\n  b [shop]');
  });

  test('puts a linked root after its target even when its clock is behind, and survives mutual links', () => {
    const cause = makeSpan({ name: 'cause', traceId: 'c'.repeat(32) });
    const links = [link(cause, 'caused-by')];
    const early = makeSpan({ name: 'early', startMs: START_MS - 99, links });
    expect(normalisedTree([early, cause])).toBe('cause [shop]\nearly [shop] link:caused-by→cause');
    const mutual = { ...cause, links: [link(early, 'caused-by')] };
    expect(normalisedTree([early, mutual]).split('\n')).toHaveLength(2);
  });

  test('marks orphans and targets that were never reported', () => {
    const gone = makeSpan({ name: 'gone' });
    const orphan = makeSpan({ name: 'orphan', ...childOf(gone), links: [link(gone, 'undoes')] });
    expect(normalisedTree([orphan])).toBe('orphan [shop] orphan link:undoes→(never reported)');
  });
});
