import { onTestFinished } from 'vitest';
import { type Child, startChild } from '../../scripts/system/child.ts';
import { cleanEnvironment } from '../support/child-process.ts';
import { type Answered, createDocumentedApi, type OpenApi } from '../support/documented-api.ts';

export const TOKEN = 'only for tests, a token of 32+ characters'.replaceAll(' ', '-');

/** `throughline admin serve` as its own process. */
export async function startAdminProcess(
  env: Readonly<Record<string, string>>,
): Promise<Child<{ readonly url: string }>> {
  return startChild<{ url: string }>({
    main: 'cli/main.ts',
    args: ['admin', 'serve'],
    env: cleanEnvironment({ THROUGHLINE_ADMIN_PORT: '0', LOG_LEVEL: 'warn', ...env }),
  });
}

/** The API as an operator with the right token has it; every answer is compared with its OpenAPI document. */
export interface AdminClient {
  readonly url: string;
  readonly document: OpenApi;
  get(path: string): Promise<Answered>;
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>;
}

export async function createAdminClient(url: string): Promise<AdminClient> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const document = (await (await fetch(`${url}/admin/openapi.json`, { headers })).json()) as OpenApi;
  const { request } = createDocumentedApi(url, document);
  return {
    url,
    document,
    get: (path) => request('GET', path, { headers }),
    post: (path, body, more = {}) =>
      request('POST', path, {
        headers: { ...headers, 'content-type': 'application/json', ...more },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
  };
}

/** An API with its token, for one test. */
export async function adminFor(env: Readonly<Record<string, string>>): Promise<AdminClient> {
  const child = await startAdminProcess({ ...env, THROUGHLINE_ADMIN_TOKEN: TOKEN });
  onTestFinished(() => child.stop());
  return createAdminClient(child.ready.url);
}

export function problemOf({ body }: Answered) {
  return body as {
    readonly type: string;
    readonly title: string;
    readonly errors?: readonly { readonly field: string; readonly expected: string }[];
  };
}
