export interface Posted {
  readonly status: number;
  readonly answer: unknown;
  /** What the answer's problem details say, or the status text. */
  readonly title: string;
  /** From `Retry-After`, in seconds or as a date. */
  readonly retryAfterMs: number | undefined;
}

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Posts JSON and reads JSON. Errors: what `fetch` throws when there is no whole answer in time. */
export async function post(url: string, { headers, body, timeoutMs, signal }: PostOptions): Promise<Posted> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  const text = await response.text();
  const answer = parse(text);
  const { title } = (answer ?? {}) as { title?: unknown };
  return {
    status: response.status,
    answer,
    title: typeof title === 'string' ? title : response.statusText,
    retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1_000;
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}
