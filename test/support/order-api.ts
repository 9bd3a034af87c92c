import { randomUUID } from 'node:crypto';
import type { OrderView } from '../../orders/http/schemas.ts';
import type { Problem } from '../../shared/http/problem.ts';
import {
  type Answered,
  checkDocumented,
  createDocumentedApi,
  type OpenApi,
  UndocumentedAnswerError,
} from './documented-api.ts';
import { PATIENCE_MS } from './patience.ts';

export type { Answered } from './documented-api.ts';

/** The order service as its own OpenAPI document describes it: an answer that the document does not allow is an error. */
export interface OrderApi {
  readonly url: string;
  readonly document: OpenApi;
  /** Errors: UndocumentedAnswerError. */
  request(method: string, path: string, init?: RequestInit): Promise<Answered>;
  place(order: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>;
  /** The order. Errors: Error when there is none. */
  show(orderKey: string): Promise<OrderView>;
  /** The order at each change, each checked, until it has ended. */
  follow(orderKey: string, signal?: AbortSignal): AsyncGenerator<OrderView>;
  /** The order once `isWanted`. Errors: Error with the last view when it ended before. */
  until(orderKey: string, isWanted: (order: OrderView) => boolean): Promise<OrderView>;
  /** The order once it has ended. */
  ended(orderKey: string): Promise<OrderView>;
}

export async function readOrderApi(url: string): Promise<OrderApi> {
  const served = await fetch(`${url}/openapi.json`);
  const document = (await served.json()) as OpenApi;
  const { request, schemaAt } = createDocumentedApi(url, document);
  const orderPath = (orderKey: string) => `/orders/${encodeURIComponent(orderKey)}`;
  const show = async (orderKey: string) => (await request('GET', orderPath(orderKey))).body as OrderView;
  const orderSchema = schemaAt([
    ...['/orders/{orderKey}', 'get', 'responses', '200', 'content', 'application/json', 'schema'],
  ]);
  async function* follow(orderKey: string, signal = AbortSignal.timeout(PATIENCE_MS)) {
    const response = await fetch(`${url}${orderPath(orderKey)}/events`, { signal });
    if (response.status !== 200 || response.headers.get('content-type') !== 'text/event-stream')
      throw new UndocumentedAnswerError(`the events of ${orderKey} answered ${response.status}`);
    for await (const data of eventsOf(response)) {
      const order = JSON.parse(data) as OrderView;
      checkDocumented(orderSchema, order, `an event of ${orderKey}`);
      yield order;
    }
  }
  const until: OrderApi['until'] = async (orderKey, isWanted) => {
    let last: OrderView | undefined;
    for await (const order of follow(orderKey)) {
      last = order;
      if (isWanted(order)) return order;
    }
    throw new Error(`${orderKey} ended otherwise: ${JSON.stringify(last)}`);
  };
  return {
    url,
    document,
    request,
    place: (order, headers = {}) =>
      request('POST', '/orders', {
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof order === 'string' ? order : JSON.stringify(order),
      }),
    show,
    follow,
    until,
    ended: (orderKey) => until(orderKey, ({ endedAt }) => endedAt !== undefined),
  };
}

/** What the order shows of a problem. */
export function problemOf({ body }: Answered): Problem {
  return body as Problem;
}

/** The `data` of each `order` event. */
async function* eventsOf(response: Response): AsyncGenerator<string> {
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const events = (text + chunk).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const [, data] = /^event: order\ndata: (.*)$/.exec(event) ?? [];
      if (data !== undefined) yield data;
    }
  }
}

/** A valid order under a key that nobody has used. */
export function newOrder(more: object = {}) {
  return { orderKey: `O-${randomUUID()}`, domain: 'shop.example', email: 'owner@shop.example', ...more };
}
