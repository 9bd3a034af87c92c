import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { createOpenApi } from '../../orders/http/openapi.ts';
import { problemSchema } from '../../shared/http/problem.ts';

/** As it is served: through JSON. */
const document = JSON.parse(JSON.stringify(createOpenApi())) as Node;

type Node = { readonly [key: string]: unknown };
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

/** Every object of the document, with its place. */
function* nodes(value: unknown, place = '#'): Generator<readonly [string, Node]> {
  if (!isNode(value)) return;
  yield [place, value];
  for (const [key, child] of Object.entries(value))
    yield* nodes(child, `${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
}

const all = [...nodes(document)];
const operations = Object.entries(document['paths'] as Node).flatMap(([path, item]) =>
  Object.entries(item as Node).map(([method, operation]) => ({ path, method, operation: operation as Node })),
);

describe('the OpenAPI document', () => {
  test('says what an OpenAPI 3.1 document has to', () => {
    expect(document['openapi']).toMatch(/^3\.1\.\d+$/);
    expect(document['info']).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    for (const path of Object.keys(document['paths'] as Node)) expect(path).toMatch(/^\//);
    for (const { method } of operations)
      expect(['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']).toContain(method);
  });

  test('names every operation once, and describes every answer', () => {
    const ids = operations.map(({ operation }) => operation['operationId']);
    expect(new Set(ids).size).toBe(operations.length);
    for (const { path, operation } of operations) {
      const responses = Object.entries(operation['responses'] as Node);
      expect(responses.length, path).toBeGreaterThan(0);
      for (const [status, response] of responses) {
        expect(status).toMatch(/^[1-5]\d\d$|^default$/);
        expect(response).toMatchObject({ description: expect.stringMatching(/./) });
        if (Number(status) >= 400)
          expect(Object.keys((response as Node)['content'] as Node)).toEqual(['application/problem+json']);
      }
    }
  });

  test('declares each parameter of each path, and none that is not in it', () => {
    for (const { path, operation } of operations) {
      const declared = (operation['parameters'] ?? []) as { name: string; in: string; required?: boolean }[];
      const own = declared.filter((parameter) => parameter.in === 'path');
      const inPath = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      expect(own.map(({ name }) => name)).toEqual(inPath);
      for (const { required } of own) expect(required).toBe(true);
    }
  });

  test('refers to nothing that is not there', () => {
    for (const [place, { $ref }] of all) {
      if (typeof $ref === 'string')
        expect(
          all.map(([known]) => known),
          place,
        ).toContain($ref.replaceAll('%7B', '{').replaceAll('%7D', '}'));
    }
  });

  test('has only schemas that JSON Schema 2020-12 accepts, in strict mode', () => {
    const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true });
    addFormats.default(ajv);
    ajv.addVocabulary(['openapi', 'info', 'paths', 'components']);
    ajv.addSchema(document, 'document', undefined, false);
    const schemas = all.filter(([place]) => /\/schema$|^#\/components\/schemas\/[^/]+$/.test(place));
    expect(schemas.length).toBeGreaterThan(10);
    for (const [place, schema] of schemas) {
      expect(ajv.validateSchema(schema), `${place}: ${ajv.errorsText()}`).toBe(true);
      const pointer = place.slice(1).split('/').map(encodeURIComponent).join('/');
      expect(ajv.getSchema(`document#${pointer}`), place).toBeTypeOf('function');
    }
  });

  test('allows no field that is not named in it, in what is sent and what is answered', () => {
    for (const [place, schema] of all) {
      if (schema['type'] !== 'object' || !schema['properties']) continue;
      if (place.includes('/parameters/')) continue;
      expect(schema['additionalProperties'], place).toBe(false);
    }
  });

  test('describes problem details with the members of RFC 9457', () => {
    const problem = { type: 'urn:throughline:problem:invalid', title: 'wrong', status: 422 };
    expect(problemSchema.safeParse(problem).success).toBe(true);
    expect(problemSchema.safeParse({ ...problem, status: 200 }).success).toBe(false);
  });
});
