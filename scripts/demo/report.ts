import { styleText } from 'node:util';
import { condense, renderTree, type SpanRecord } from '../../insight/index.ts';
import type { Scenario } from './scenario.ts';
import type { Verdict } from './verdict.ts';

/** An order, its end, and its trace. */
export interface OrderReport {
  readonly scenario: Scenario;
  readonly verdict: Verdict;
  readonly spans: readonly SpanRecord[];
}

type Style = Parameters<typeof styleText>[0];

export function createPaint(color: boolean): (style: Style, text: string) => string {
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text);
}

export interface RenderOptions {
  readonly color: boolean;
  readonly width: number;
  /** Also the spans of database statements, HTTP clients and Express. */
  readonly allSpans: boolean;
}

export function renderReport({ scenario, verdict, spans }: OrderReport, options: RenderOptions): string {
  const { color, width, allSpans } = options;
  const paint = createPaint(color);
  const shown = allSpans ? spans : condense(spans);
  const headline = `${scenario.order.orderKey}  ${scenario.title}`;
  const { problems } = verdict;
  const result = problems.length === 0 ? paint('green', '✓') : paint('red', '✗');
  return [
    paint('bold', headline),
    renderTree(shown, { color, width }),
    `${result} ${verdict.outcome} · ${connection(verdict, spans)}${omission(spans.length - shown.length)}`,
    ...problems.map((problem) => paint('red', `  ${problem}`)),
    '',
  ].join('\n');
}

function connection({ connected }: Verdict, spans: readonly SpanRecord[]): string {
  const traces = new Set(spans.map(({ traceId }) => traceId));
  const services = new Set(spans.map(({ service }) => service));
  const size = `${plural(spans.length, 'span')} of ${plural(services.size, 'service')}`;
  const name = traces.size === 1 ? `trace ${[...traces][0]}` : plural(traces.size, 'trace');
  return connected ? `connected: ${size} in ${name}` : `NOT connected: ${size} in ${name}`;
}

function omission(count: number): string {
  return count > 0 ? ` (${count} of statements and requests not shown)` : '';
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** What `--json` prints: the same facts for programs. */
export function toJson(reports: readonly OrderReport[], extra: Readonly<Record<string, unknown>>): string {
  const orders = reports.map(({ scenario, verdict, spans }) => ({
    orderKey: scenario.order.orderKey,
    title: scenario.title,
    expected: scenario.expected ?? null,
    ...verdict,
    spans,
  }));
  return JSON.stringify({ ...extra, orders });
}
