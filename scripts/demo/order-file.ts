import { orderLineSchema, type Scenario } from './scenario.ts';

export interface BadLine {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

export interface OrderFile {
  readonly scenarios: readonly Scenario[];
  readonly badLines: readonly BadLine[];
}

/** Reads orders, one JSON object a line; empty lines are passed over, and a bad line does not stop the others. */
export function parseOrderFile(text: string): OrderFile {
  const scenarios: Scenario[] = [];
  const badLines: BadLine[] = [];
  const lineOf = new Map<string, number>();
  // A byte-order mark is what some editors leave; it is no part of the first line.
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [index, content] of lines.entries()) {
    const line = index + 1;
    if (content.trim() === '') continue;
    const parsed = parseLine(content);
    if ('reason' in parsed) {
      badLines.push({ line, reason: parsed.reason });
      continue;
    }
    const { orderKey } = parsed.order;
    const earlier = lineOf.get(orderKey);
    if (earlier === undefined) {
      lineOf.set(orderKey, line);
      scenarios.push(parsed);
    } else {
      badLines.push({ line, reason: `orderKey: "${orderKey}" was used on line ${earlier} already` });
    }
  }
  return { scenarios, badLines };
}

function parseLine(content: string): Scenario | { readonly reason: string } {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (error) {
    return { reason: `expected a JSON object: ${(error as Error).message}` };
  }
  const parsed = orderLineSchema.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'the line'}: ${message}`,
    );
    return { reason: issues.join('; ') };
  }
  const { faults, decision, ...order } = parsed.data;
  return { order, faults, decision, title: order.domain, expected: undefined };
}
