import type { ServerResponse } from 'node:http';

/** What is answered to a request. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> | readonly unknown[] | string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is wrong with a field of a request: `body` when it is none in particular. */
export interface FieldError {
  readonly field: string;
  readonly detail: string;
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

/** Problem details of a request that is not as it should be; they name each field. */
export function invalid(status: number, errors: readonly FieldError[]): Answer {
  const title = errors.map(({ field, detail }) => `${field}: ${detail}`).join('; ');
  return { ...problem(status, title), body: { title, status, errors } };
}

/** What zod has against a value, field by field. */
export function fieldErrors(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): FieldError[] {
  return issues.map(({ path, message }) => ({ field: path.join('.') || 'body', detail: message }));
}

export function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}
