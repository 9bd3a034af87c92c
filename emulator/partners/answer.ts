/** What is answered to a request. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> | readonly unknown[] | string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function ok(body: Answer['body']): Answer {
  return { status: 200, body };
}

/** Problem details, as RFC 9457 has them. */
export function problem(status: number, title: string, headers?: Readonly<Record<string, string>>): Answer {
  return {
    status,
    body: { title, status },
    headers: { 'content-type': 'application/problem+json', ...headers },
  };
}
