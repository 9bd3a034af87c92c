import { channel } from 'node:diagnostics_channel';
import { createRequire, register as registerLoader } from 'node:module';
import { type Context, context, propagation, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { isWrapped, registerInstrumentations } from '@opentelemetry/instrumentation';
import { ExpressInstrumentation, ExpressLayerType } from '@opentelemetry/instrumentation-express';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { register as registerHooks, supportsSyncHooks } from 'import-in-the-middle/register-hooks.mjs';
import { ThroughlineError } from '../errors.ts';
import { followMeterProvider } from './meter-provider.ts';

/**
 * HTTP servers, Express, PostgreSQL and outgoing `fetch`, traced and measured by OpenTelemetry's own instrumentations.
 *
 * To be called before `node:http`, `express` and `pg` are imported by anybody: a main file calls it, then imports the rest
 * with `await import(…)`. Without the loader hook Express's spans vanish silently while the others still appear, so
 * `assertInstrumented` looks whether each one took.
 */
export interface InstrumentOptions {
  /** Continue the trace that a caller names. Otherwise the request is a new trace, and the caller's span is linked. */
  readonly trustTraceparent: boolean;
  /** Paths that are asked all the time and tell nothing. */
  readonly ignoredPaths?: readonly string[];
  /** Query parameters whose values spans are not to show, besides the signatures of signed addresses. */
  readonly secretParameters?: readonly string[];
}

/** As much of an incoming request as is needed here; `node:http` must not be imported yet. */
interface Request {
  readonly url?: string | undefined;
  readonly headers: Record<string, unknown>;
}

const MODULES = ['express', 'http', 'https', 'node:http', 'node:https', 'pg', 'pg-pool'];

/** Errors: none. */
export function instrument({
  trustTraceparent,
  ignoredPaths = [],
  secretParameters = [],
}: InstrumentOptions): void {
  // The instrumentations patch what `require` brings; ESM imports need a hook in the loader as well.
  if (supportsSyncHooks()) registerHooks({ include: MODULES });
  else registerLoader('import-in-the-middle/hook.mjs', import.meta.url, { data: { include: MODULES } });
  const instrumentations = [
    new HttpInstrumentation({
      requireParentforOutgoingSpans: true,
      // The first to see a request, before its headers are read for a parent.
      ignoreIncomingRequestHook: (request) => {
        if (!trustTraceparent) setCallerAside(request as Request);
        return ignoredPaths.includes(String(request.url).split('?')[0] ?? '');
      },
      requestHook: (span, request) => noteRequest(span, request as Request),
      redactedQueryParamsServer: [...SIGNATURES, ...secretParameters],
    }),
    new ExpressInstrumentation({
      ignoreLayersType: [ExpressLayerType.MIDDLEWARE, ExpressLayerType.ROUTER],
    }),
    new PgInstrumentation({ requireParentSpan: true, ignoreConnectSpans: true }),
    new UndiciInstrumentation({ requireParentforSpans: true }),
  ];
  registerInstrumentations({ instrumentations });
  followMeterProvider((provider) => {
    for (const instrumentation of instrumentations) instrumentation.setMeterProvider(provider);
  });
}

/** What the instrumentation redacts as long as it is told nothing else. */
const SIGNATURES = [
  'sig',
  'Signature',
  'AWSAccessKeyId',
  'X-Goog-Signature',
  'X-Amz-Signature',
  'X-Amz-Credential',
  'X-Amz-Security-Token',
];

const callers = new WeakMap<object, Context>();
const serverSpans = new WeakMap<object, Span>();

/** A stranger chooses neither our trace ids nor what our spans are sampled and tagged with. */
function setCallerAside(request: Request): void {
  if (request.headers['traceparent'] === undefined && request.headers['baggage'] === undefined) return;
  callers.set(request, propagation.extract(ROOT_CONTEXT, request.headers));
  for (const field of propagation.fields()) delete request.headers[field];
}

function noteRequest(span: Span, request: Request): void {
  if (!request.headers) return; // an outgoing one
  serverSpans.set(request, span);
  const caller = trace.getSpanContext(callers.get(request) ?? ROOT_CONTEXT);
  if (caller) span.addLink({ context: caller });
}

/** The SERVER span of a request: the active one inside a handler is Express's own. */
export function serverSpanOf(request: object): Span | undefined {
  return serverSpans.get(request) ?? trace.getSpan(context.active());
}

/** A library is not traced although it should be. */
export class NotInstrumentedError extends ThroughlineError {
  override readonly name = 'NotInstrumentedError';
  readonly code = 'NOT_INSTRUMENTED';

  constructor(libraries: readonly string[]) {
    super(
      `not traced: ${libraries.join(', ')}. Something imported them before instrument() was called, or this Node does not support the loader hook`,
    );
  }
}

export type Instrumented = 'node:http' | 'express' | 'pg' | 'fetch';

const CHECKS: Readonly<Record<Instrumented, () => boolean>> = {
  'node:http': () => isWrapped(process.getBuiltinModule('node:http').Server.prototype.emit),
  express: () => isWrapped(loaded<Express>('express')?.Router.prototype.route),
  pg: () => isWrapped(loaded<Pg>('pg')?.Client.prototype.query),
  fetch: () => channel('undici:request:create').hasSubscribers,
};

/**
 * A library as it was loaded, if it was. `require` is not asked for it: it would patch one that was imported too early,
 * and whoever looks would mend, for what comes afterwards, what should be told.
 */
function loaded<Exports>(library: string): Exports | undefined {
  const require = createRequire(import.meta.url);
  return require.cache[require.resolve(library)]?.exports as Exports | undefined;
}

interface Express {
  readonly Router: { readonly prototype: { readonly route: unknown } };
}
interface Pg {
  readonly Client: { readonly prototype: { readonly query: unknown } };
}

/**
 * To be called at start, once everything has been imported, with what the process uses.
 *
 * Errors: NotInstrumentedError, which names what is not traced.
 */
export function assertInstrumented(libraries: readonly Instrumented[]): void {
  const missing = libraries.filter((library) => !CHECKS[library]());
  if (missing.length > 0) throw new NotInstrumentedError(missing);
}
