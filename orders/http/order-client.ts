import { ThroughlineError } from '../../shared/errors.ts';
import { type Problem, problemSchema } from '../../shared/http/problem.ts';
import type { OrderRequest } from '../order.ts';
import type { OrderView } from './schemas.ts';

/** The order service refused, in its own words. */
export class OrderRefusedError extends ThroughlineError {
  override readonly name = 'OrderRefusedError';
  readonly code = 'ORDER_REFUSED';
  readonly status: number;
  /** Undefined: whoever answered is no order service. */
  readonly problem: Problem | undefined;

  constructor(status: number, body: string) {
    const problem = problemOf(body);
    super(`the order service answered ${status}: ${problem ? sentence(problem) : body.slice(0, 500)}`);
    this.status = status;
    this.problem = problem;
  }
}

/** Nobody answered, or the connection went away; `cause` says why. */
export class OrderServiceAwayError extends ThroughlineError {
  override readonly name = 'OrderServiceAwayError';
  readonly code = 'ORDER_SERVICE_AWAY';
  override readonly retryable = true;

  constructor(url: string, options: ErrorOptions) {
    super(`the order service at ${url} cannot be reached: ${whyAway(options.cause)}`, options);
  }
}

/** A customer of the order service, over HTTP. */
export interface OrderClient {
  /** Errors: OrderRefusedError; OrderServiceAwayError. */
  place(order: OrderRequest, idempotencyKey: string): Promise<OrderView>;
  show(orderKey: string): Promise<OrderView>;
  /** Yields the order now and at each change, until it has ended, the service stops, or the signal fires. */
  follow(orderKey: string, signal: AbortSignal): AsyncGenerator<OrderView>;
}

export function createOrderClient(url: string): OrderClient {
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    try {
      return await fetch(url + path, init);
    } catch (cause) {
      throw init.signal?.aborted ? cause : new OrderServiceAwayError(url, { cause });
    }
  };
  const read = async (response: Response): Promise<OrderView> => {
    const body = await response.text();
    const order = response.ok ? orderOf(body) : undefined;
    if (!order) throw new OrderRefusedError(response.status, body);
    return order;
  };
  const pathOf = (orderKey: string) => `/orders/${encodeURIComponent(orderKey)}`;
  return {
    async place(order, idempotencyKey) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
      return read(await ask('/orders', { method: 'POST', headers, body: JSON.stringify(order) }));
    },
    show: async (orderKey) => read(await ask(pathOf(orderKey))),
    async *follow(orderKey, signal) {
      const response = await ask(`${pathOf(orderKey)}/events`, { signal });
      if (!response.ok || !response.body) throw new OrderRefusedError(response.status, await response.text());
      let text = '';
      try {
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
          const events = (text + chunk).split('\n\n');
          text = events.pop() ?? '';
          for (const event of events) {
            const [, data] = /^data: (.*)$/m.exec(event) ?? [];
            if (data !== undefined) yield JSON.parse(data) as OrderView;
          }
        }
      } catch (cause) {
        throw signal.aborted ? cause : new OrderServiceAwayError(url, { cause });
      }
    },
  };
}

function orderOf(body: string): OrderView | undefined {
  const order = jsonOf(body) as Partial<OrderView> | undefined;
  return typeof order?.orderKey === 'string' && Array.isArray(order.steps) ? (order as OrderView) : undefined;
}

function problemOf(body: string): Problem | undefined {
  return problemSchema.safeParse(jsonOf(body)).data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

function sentence({ title, detail, errors = [] }: Problem): string {
  const more = errors.map(({ field, expected }) => `${field}: ${expected}`).join('; ') || detail;
  return more === undefined ? title : `${title} (${more})`;
}

/** `fetch` hides the reason below its own error. */
function whyAway(error: unknown): string {
  const { cause = error } = (error ?? {}) as { cause?: unknown };
  const [first = cause] = cause instanceof AggregateError ? (cause.errors as unknown[]) : [];
  return first instanceof Error ? first.message : String(first);
}
