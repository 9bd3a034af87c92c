import express, { type Express, type RequestHandler } from 'express';
import { notFound, problems, toProblem } from '../../shared/http/problem.ts';
import type { Route } from '../../shared/http/route.ts';
import type { Logger } from '../../shared/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import { toJson } from '../document.ts';
import { requireToken } from './access.ts';
import { deadLetterRoutes } from './dead-letters.ts';
import { fenceRoutes } from './fences.ts';
import { jobRoutes } from './jobs.ts';
import { createOpenApi } from './openapi.ts';
import { asRefusal } from './refusal.ts';
import { sagaRoutes } from './sagas.ts';
import { inServerSpan, setStatus } from './server-span.ts';

export interface AdminAppOptions {
  readonly database: Database;
  /** Undefined: everything below `/admin` is closed. */
  readonly token: string | undefined;
  /** Operations of other folders, below `/admin` too. */
  readonly routes?: readonly Route[];
  readonly trustTraceparent?: boolean;
  readonly logger?: Logger | undefined;
}

const MAX_BODY = '16kb';

/** The operators' HTTP API. Its OpenAPI document is at `/admin/openapi.json`. */
export function createAdminApp(options: AdminAppOptions): Express {
  const { database, token, logger } = options;
  const routes = [
    ...sagaRoutes(database),
    ...fenceRoutes(database),
    ...deadLetterRoutes(database),
    ...jobRoutes(database),
    ...(options.routes ?? []),
  ];
  const openApi = createOpenApi(routes);
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.get('/healthz', (_, response) => void response.json({ status: 'ok' }));
  app.use('/admin', (_, response, next) => {
    response.setHeader('cache-control', 'no-store');
    next();
  });
  app.use('/admin', requireToken(token));
  app.get('/admin/openapi.json', (_, response) => void response.json(openApi));
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    if (route.method === 'get') app.get(path, answer(route, options));
    else app.post(path, bodyOf(route), answer(route, options));
  }
  app.use(notFound);
  app.use(problems(logger));
  return app;
}

function bodyOf({ maxBody = MAX_BODY }: Route): RequestHandler {
  return express.json({ limit: maxBody, strict: true });
}

/** The whole of a request within its span, the refusal included. */
function answer(route: Route, { trustTraceparent = false }: AdminAppOptions): RequestHandler {
  return (request, response, next) =>
    inServerSpan(request, { route: route.path, trustTraceparent }, async (span) => {
      const hangUp = new AbortController();
      response.once('close', () => {
        if (!response.writableFinished) hangUp.abort();
      });
      try {
        const document = await route.answer(request, hangUp.signal);
        response.type('application/json').send(toJson(document));
        setStatus(span, response.statusCode);
      } catch (error) {
        const refusal = asRefusal(error);
        setStatus(span, toProblem(refusal).status);
        next(refusal);
      }
    });
}
