import { z } from 'zod';
import { ThroughlineError } from '../shared/errors.ts';

/** Prometheus was asked and did not answer the question. */
export class PrometheusError extends ThroughlineError {
  override readonly name = 'PrometheusError';
  readonly code = 'PROMETHEUS';
}

/** Resolves with the value of a query for one number; undefined when there is none, or it is not a number. */
export type AskPrometheus = (query: string) => Promise<number | undefined>;

const TIMEOUT_MS = 20_000;

const answerSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('success'),
    data: z.object({
      resultType: z.literal('vector'),
      result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })).max(1),
    }),
  }),
  z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() }),
]);

/**
 * Asks a Prometheus, or what speaks its HTTP API (Thanos, Mimir), at its base address.
 *
 * Errors: PrometheusError.
 */
export function createPrometheus(baseUrl: string): AskPrometheus {
  const url = `${baseUrl.replace(/\/+$/, '')}/api/v1/query`;
  return async (query) => {
    const answer = await post(url, query);
    if (answer.status === 'error')
      throw new PrometheusError(`Prometheus refused the query (${answer.errorType}): ${answer.error}`);
    const [found] = answer.data.result;
    const value = Number(found?.value[1]);
    return Number.isNaN(value) ? undefined : value;
  };
}

async function post(url: string, query: string): Promise<z.output<typeof answerSchema>> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ query }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.json().catch(() => undefined);
  } catch (cause) {
    throw new PrometheusError(`no answer from ${url}: ${reasonOf(cause)}`, { cause });
  }
  const parsed = answerSchema.safeParse(body);
  if (!parsed.success)
    throw new PrometheusError(
      `${url} answered ${response.status}, and not as Prometheus does; is this its address?`,
    );
  return parsed.data;
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error;
  return cause instanceof Error ? (cause as NodeJS.ErrnoException).code || cause.message : message;
}
