import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

/** An answer that was as the document says. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed body when it is JSON, else the text. */
  readonly body: unknown;
}

/** An HTTP API as its own OpenAPI document describes it: an answer that the document does not allow is an error. */
export interface DocumentedApi {
  readonly document: OpenApi;
  /** Errors: UndocumentedAnswerError. */
  request(method: string, path: string, init?: RequestInit): Promise<Answered>;
  /** The schema of the document at this place, below `paths`. */
  schemaAt(place: readonly string[]): ValidateFunction;
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

const DOCUMENT = 'openapi.json';

/** `url`: what the document's paths are added to. */
export function createDocumentedApi(url: string, document: OpenApi): DocumentedApi {
  const schemaAt = createSchemas(document);
  return {
    document,
    schemaAt,
    async request(method, path, init = {}) {
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
        checkDocumented(schemaAt([...pointer, 'content', type, 'schema']), body, what);
      }
      return { status: response.status, headers: response.headers, body };
    },
  };
}

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

export function checkDocumented(validate: ValidateFunction, body: unknown, what: string): void {
  if (validate(body)) return;
  const errors = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  throw new UndocumentedAnswerError(
    `${what}, not as documented: ${errors.join('; ')}\n${JSON.stringify(body)}`,
  );
}

/** A path without parameters goes before one that has them. */
function find(
  { paths }: OpenApi,
  method: string,
  path: string,
): { readonly template: string; readonly operation: Operation } | undefined {
  const [pathname = ''] = path.split('?');
  const parameters = (template: string) => template.split('{').length;
  const templates = Object.entries(paths).sort(([one], [other]) => parameters(one) - parameters(other));
  for (const [template, operations] of templates) {
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`);
    const operation = operations[method.toLowerCase()];
    if (operation && pattern.test(pathname)) return { template, operation };
  }
  return undefined;
}
