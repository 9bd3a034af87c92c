import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';
import { orderAttributes } from './trace/order-key.ts';

export type { Logger };

export interface LogOptions {
  readonly serviceName: string;
  readonly level: LogLevel;
  /** When known, lines bear `logging.googleapis.com/trace` in Google Cloud's form. */
  readonly projectId?: string | undefined;
  /** Default: stderr, because stdout belongs to the program's own output. */
  readonly destination?: DestinationStream;
}

/** A logger whose every line bears the active span's ids, the order key and the saga's id. */
export function createLogger(options: LogOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { service: options.serviceName },
      mixin: () => traceFields(options.projectId),
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
}

function traceFields(projectId: string | undefined): Record<string, string> {
  const active = context.active();
  const fields = orderAttributes(active);
  const span = trace.getSpanContext(active);
  if (!span || !isSpanContextValid(span)) return fields;
  fields['trace_id'] = span.traceId;
  fields['span_id'] = span.spanId;
  fields['trace_flags'] = span.traceFlags.toString(16).padStart(2, '0');
  if (projectId) fields['logging.googleapis.com/trace'] = `projects/${projectId}/traces/${span.traceId}`;
  return fields;
}
