import { createDocument } from 'zod-openapi';
import type { Route } from '../../shared/http/route.ts';

/** The admin API's OpenAPI document, made of the very routes that answer. */
export function createOpenApi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, Route['operation']>> = {};
  for (const { path, method, operation } of routes) paths[path] = { ...paths[path], [method]: operation };
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Throughline admin API', version: '1.0.0' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
    paths,
  });
}
