import type { OrderView } from '../../orders/http/schemas.ts';
import type { OrderRequest } from '../../orders/order.ts';

/** The order service refused, in its own words. */
export class OrderRefusedError extends Error {
  override readonly name = 'OrderRefusedError';
  readonly status: number;

  constructor(status: number, body: string) {
    super(`the order service answered ${status}: ${body.slice(0, 500)}`);
    this.status = status;
  }
}

/** A customer of the order service, over HTTP. */
export interface OrderClient {
  /** Errors: OrderRefusedError; TypeError when there was no answer. */
  place(order: OrderRequest, idempotencyKey: string): Promise<OrderView>;
  show(orderKey: string): Promise<OrderView>;
  /** Yields the order now and at each change, until it has ended or the signal fires. */
  follow(orderKey: string, signal: AbortSignal): AsyncGenerator<OrderView>;
}

export function createOrderClient(url: string): OrderClient {
  const read = async (response: Response): Promise<OrderView> => {
    const body = await response.text();
    if (!response.ok) throw new OrderRefusedError(response.status, body);
    return JSON.parse(body) as OrderView;
  };
  return {
    async place(order, idempotencyKey) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
      return read(await fetch(`${url}/orders`, { method: 'POST', headers, body: JSON.stringify(order) }));
    },
    show: async (orderKey) => read(await fetch(`${url}/orders/${encodeURIComponent(orderKey)}`)),
    async *follow(orderKey, signal) {
      const response = await fetch(`${url}/orders/${encodeURIComponent(orderKey)}/events`, { signal });
      if (!response.ok || !response.body) throw new OrderRefusedError(response.status, await response.text());
      let text = '';
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        const events = (text + chunk).split('\n\n');
        text = events.pop() ?? '';
        for (const event of events) {
          const [, data] = /^data: (.*)$/m.exec(event) ?? [];
          if (data !== undefined) yield JSON.parse(data) as OrderView;
        }
      }
    },
  };
}
