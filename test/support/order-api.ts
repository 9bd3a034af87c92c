import { randomUUID } from 'node:crypto';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { OrderView } from '../../orders/http/schemas.ts';
import type { Problem } from '../../shared/http/problem.ts';

/** An answer that was as the document says. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed body when it is JSON, else the text. */
  readonly body: unknown;
}

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

export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, object>> }>>;
}

export class UndocumentedAnswerError extends Error {
  override readonly name = 'UndocumentedAnswerError';
}

const TIMEOUT_MS = 25_000;
const DOCUMENT = 'openapi.json';

export async function readOrderApi(url: string): Promise<OrderApi> {
  const served = await fetch(`${url}/openapi.json`);
  const document = (await served.json()) as OpenApi;
  const schemaAt = createSchemas(document);

  const request = async (method: string, path: string, init: RequestInit = {}): Promise<Answered> => {
    const response = await fetch(url + path, { redirect: 'manual', ...init, method });
    const text = await response.text();
    const what = `${method} ${path} answered ${response.status}`;
    const documented = find(document, method, path);
    const answer = documented?.operation.responses[response.status];
    if (!documented || !answer)
      throw new UndocumentedAnswerError(`${what}, which is in no document: ${text}`);
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    if (answer.content && !answer.content[type])
      throw new UndocumentedAnswerError(`${what} with ${type || 'no content type'}: ${text}`);
    const body: unknown = /json$/.test(type) ? JSON.parse(text) : text;
    if (answer.content) {
      const pointer = [documented.template, method.toLowerCase(), 'responses', String(response.status)];
      check(schemaAt([...pointer, 'content', type, 'schema']), body, what);
    }
    return { status: response.status, headers: response.headers, body };
  };

  const orderPath = (orderKey: string) => `/orders/${encodeURIComponent(orderKey)}`;
  const show = async (orderKey: string) => (await request('GET', orderPath(orderKey))).body as OrderView;
  const orderSchema = schemaAt([
    ...['/orders/{orderKey}', 'get', 'responses', '200', 'content', 'application/json', 'schema'],
  ]);
  async function* follow(orderKey: string, signal = AbortSignal.timeout(TIMEOUT_MS)) {
    const response = await fetch(`${url}${orderPath(orderKey)}/events`, { signal });
    if (response.status !== 200 || response.headers.get('content-type') !== 'text/event-stream')
      throw new UndocumentedAnswerError(`the events of ${orderKey} answered ${response.status}`);
    for await (const data of eventsOf(response)) {
      const order = JSON.parse(data) as OrderView;
      check(orderSchema, order, `an event of ${orderKey}`);
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

/** Shape: the schema of the document at this place, below `paths`. */
function createSchemas(document: OpenApi): (place: readonly string[]) => ValidateFunction {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, DOCUMENT);
  return (place) => {
    const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')));
    const validate = ajv.getSchema(`${DOCUMENT}#/paths/${pointer.join('/')}`);
    if (!validate) throw new Error(`the document has no schema at ${place.join(' ')}`);
    return validate as ValidateFunction;
  };
}

function check(validate: ValidateFunction, body: unknown, what: string): void {
  if (validate(body)) return;
  const errors = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  throw new UndocumentedAnswerError(
    `${what}, not as documented: ${errors.join('; ')}\n${JSON.stringify(body)}`,
  );
}

function find(
  { paths }: OpenApi,
  method: string,
  path: string,
): { readonly template: string; readonly operation: Operation } | undefined {
  const [pathname = ''] = path.split('?');
  for (const [template, operations] of Object.entries(paths)) {
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`);
    const operation = operations[method.toLowerCase()];
    if (operation && pattern.test(pathname)) return { template, operation };
  }
  return undefined;
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
