import { z } from 'zod';

/** Prometheus' HTTP API, as Grafana asks it. Each number is one that is there: NaN is none. */
export interface PrometheusApi {
  /** Now. */
  now(query: string): Promise<readonly number[]>;
  /** Each second of a time, as a panel draws it: what any line of it has at any second. */
  over(query: string, fromMs: number): Promise<readonly number[]>;
  /** How many series there are of a selector, and the values that a label has on them. */
  values(selector: string, label?: string): Promise<readonly string[]>;
}

const sample = z.tuple([z.number(), z.string()]);
const answer = <Data extends z.ZodType>(data: Data) => z.object({ status: z.literal('success'), data });
const vectorSchema = answer(z.object({ result: z.array(z.object({ value: sample })) }));
const matrixSchema = answer(z.object({ result: z.array(z.object({ values: z.array(sample) })) }));
const seriesSchema = answer(z.array(z.record(z.string(), z.string())));

export function createPrometheusApi(baseUrl: string): PrometheusApi {
  const ask = async <Schema extends z.ZodType>(path: string, asked: object, schema: Schema) => {
    const body = new URLSearchParams({ ...asked });
    const response = await fetch(`${baseUrl}/api/v1/${path}`, { method: 'POST', body });
    const text = await response.text();
    if (!response.ok) throw new Error(`${JSON.stringify(asked)}: ${text}`);
    return schema.parse(JSON.parse(text));
  };
  return {
    async now(query) {
      const { data } = await ask('query', { query }, vectorSchema);
      return numbers(data.result.map(({ value }) => value));
    },
    async over(query, fromMs) {
      const asked = { query, start: `${fromMs / 1_000}`, end: `${Date.now() / 1_000}`, step: '1' };
      const { data } = await ask('query_range', asked, matrixSchema);
      return numbers(data.result.flatMap(({ values }) => values));
    },
    async values(selector, label = '__name__') {
      const { data } = await ask('series', { 'match[]': selector }, seriesSchema);
      return data.map((labels) => labels[label] ?? '');
    },
  };
}

function numbers(samples: readonly z.output<typeof sample>[]): number[] {
  return samples.map(([, value]) => Number(value)).filter((value) => !Number.isNaN(value));
}
