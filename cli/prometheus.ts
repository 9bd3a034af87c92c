import { z } from 'zod';
import { ThroughlineError } from '../shared/errors.ts';
import { reasonOf } from './failure.ts';

/** Prometheus was asked and did not answer the question. */
export class PrometheusError extends ThroughlineError {
  override readonly name = 'PrometheusError';
  readonly code = 'PROMETHEUS';
}

export interface Prometheus {
  /** The value of a query for one number; undefined when there is none, or it is not a number. */
  number(query: string): Promise<number | undefined>;
  /** Every series that a query for numbers has, without those that are not numbers. */
  series(query: string): Promise<readonly Series[]>;
}

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const TIMEOUT_MS = 20_000;

const answerSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('success'),
    data: z.object({
      resultType: z.literal('vector'),
      result: z.array(
        z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
      ),
    }),
  }),
  z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() }),
]);

/**
 * Asks a Prometheus, or what speaks its HTTP API (Thanos, Mimir), at its base address.
 *
 * Errors: PrometheusError.
 */
export function createPrometheus(baseUrl: string): Prometheus {
  const url = `${baseUrl.replace(/\/+$/, '')}/api/v1/query`;
  const series: Prometheus['series'] = async (query) => {
    const answer = await post(url, query);
    if (answer.status === 'error')
      throw new PrometheusError(`Prometheus refused the query (${answer.errorType}): ${answer.error}`);
    return answer.data.result
      .map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
      .filter(({ value }) => !Number.isNaN(value));
  };
  return { series, number: async (query) => (await series(query))[0]?.value };
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
