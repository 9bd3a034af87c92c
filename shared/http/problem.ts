import type { ErrorRequestHandler, RequestHandler } from 'express';
import { z } from 'zod';
import { ThroughlineError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DatabaseUnavailableError } from '../storage/database.ts';

/** Problem details. Source: RFC 9457. */
export const problemSchema = z
  .strictObject({
    type: z.string().describe('Stable name of this kind of problem, a URN'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().optional(),
    /** Which fields are wrong, and what was expected. */
    errors: z.array(z.strictObject({ field: z.string(), expected: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;

/** A request that is answered with a problem. */
export class ProblemError extends ThroughlineError {
  override readonly name = 'ProblemError';
  readonly code = 'PROBLEM';
  readonly problem: Problem;

  constructor(status: number, kind: string, title: string, more: Pick<Problem, 'detail' | 'errors'> = {}) {
    super(title);
    this.problem = { type: `urn:throughline:problem:${kind}`, title, status, ...more };
  }
}

/** Errors: ProblemError (422), which names each field that is wrong. */
export function parseOrRefuse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  whole: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(({ path, message }) => ({
    field: path.join('.') || whole,
    expected: message,
  }));
  throw new ProblemError(422, 'invalid', `the ${whole} is not as expected`, { errors });
}

export const notFound: RequestHandler = ({ path }) => {
  throw new ProblemError(404, 'not-found', 'there is nothing here', { detail: path });
};

export function problems(logger: Logger | undefined): ErrorRequestHandler {
  return (error, _request, response, next) => {
    const problem = toProblem(error);
    if (problem.status >= 500) logger?.error({ err: error }, 'a request failed');
    if (response.headersSent) return next(error);
    if (problem.status === 503) response.setHeader('retry-after', '1');
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  };
}

/** What a request is answered with when it fails so. */
export function toProblem(error: unknown): Problem {
  return asProblem(error).problem;
}

/** Express's own errors (a body that is too large, or no JSON) bear a status, and whether their message may be told. */
function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof DatabaseUnavailableError)
    return new ProblemError(503, 'unavailable', 'the database cannot be reached; try again');
  const { status, expose, message } = (error ?? {}) as {
    status?: number;
    expose?: boolean;
    message?: string;
  };
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new ProblemError(status, 'bad-request', (expose && message) || 'the request cannot be read');
  return new ProblemError(500, 'internal', 'something went wrong here');
}
