import type { Request } from 'express';
import { z } from 'zod';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import { ProblemError, parseOrRefuse, problemSchema } from './problem.ts';

/**
 * One operation of an HTTP API, with the schemas that check its requests and describe it: what OpenAPI says of it is what
 * is checked.
 */
export interface Route {
  readonly method: 'get' | 'post';
  /** As OpenAPI writes it: `/admin/sagas/{sagaId}`. */
  readonly path: string;
  readonly operation: ZodOpenApiOperationObject;
  /** As `express.json` reads it: `256kb`. Default: the server's own limit. */
  readonly maxBody?: string;
  /**
   * Shape: the document that is the answer, with 200. `signal` fires when the caller has hung up.
   * Errors: ProblemError (415, 422) when the request is not as described; what the operation throws.
   */
  answer(request: Request, signal: AbortSignal): Promise<unknown>;
}

export interface RouteDefinition<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType | undefined,
> {
  readonly method: Route['method'];
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** Strict objects: a field that is not known is refused. */
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly maxBody?: string;
  readonly document: z.ZodType;
  /** Why it may be refused, besides what holds for every route: by status. */
  readonly refusals?: Readonly<Partial<Record<'404' | '409', string>>>;
  readonly run: (asked: {
    readonly params: z.output<Params>;
    readonly query: z.output<Query>;
    readonly body: Body extends z.ZodType ? z.output<Body> : undefined;
    readonly signal: AbortSignal;
  }) => Promise<unknown>;
}

const NOTHING = z.strictObject({});

export function defineRoute<
  Params extends z.ZodType = typeof NOTHING,
  Query extends z.ZodType = typeof NOTHING,
  Body extends z.ZodType | undefined = undefined,
>(definition: RouteDefinition<Params, Query, Body>): Route {
  const { method, path, params = NOTHING, query = NOTHING, body, maxBody, run } = definition;
  return {
    ...(maxBody !== undefined && { maxBody }),
    method,
    path,
    operation: describe(definition),
    async answer(request, signal) {
      if (body && !request.is('application/json'))
        throw new ProblemError(415, 'unsupported-media-type', 'expected a body of type application/json');
      const asked = {
        params: parseOrRefuse(params, request.params, 'path'),
        query: parseOrRefuse(query, { ...request.query }, 'query'),
        body: body && parseOrRefuse(body, request.body, 'body'),
        signal,
      };
      return run(asked as Parameters<typeof run>[0]);
    },
  };
}

const refused = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

function describe(
  definition: RouteDefinition<z.ZodType, z.ZodType, z.ZodType | undefined>,
): ZodOpenApiOperationObject {
  const { operationId, summary, params, query, body, document, refusals = {} } = definition;
  const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } });
  return {
    operationId,
    summary,
    requestParams: { ...(params && { path: asObject(params) }), ...(query && { query: asObject(query) }) },
    ...(body && { requestBody: { required: true, ...json(body) } }),
    responses: {
      '200': { description: summary, ...json(document) },
      ...(body && {
        '400': refused('The body is no JSON.'),
        '413': refused('The body is too large.'),
        '415': refused('The body is not application/json.'),
      }),
      '401': refused('There is no bearer token, or not the right one.'),
      '403': refused('The API is closed: no token is configured.'),
      ...Object.fromEntries(Object.entries(refusals).map(([status, why]) => [status, refused(why)])),
      '422': refused('A field is not as expected, or not known.'),
      '503': refused('The database cannot be reached; try again.'),
    },
  };
}

/** What zod-openapi wants of parameters. */
function asObject(schema: z.ZodType): z.ZodObject {
  if (schema instanceof z.ZodObject) return schema;
  throw new TypeError('parameters are described by an object');
}
