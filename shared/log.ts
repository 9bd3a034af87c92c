import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import type { LogFormat, LogLevel } from './config.ts';
import { errorFields } from './error-fields.ts';
import { createScrub, REDACTED, type Scrub } from './scrub.ts';
import { sensitivePaths } from './sensitive-fields.ts';
import { orderAttributes } from './trace/order-key.ts';

export type { Logger };

export interface LogOptions {
  readonly serviceName: string;
  readonly serviceVersion?: string;
  readonly level: LogLevel;
  /** `google`: fields as Cloud Logging and Error Reporting know them. `plain`: pino's own. Default `plain`. */
  readonly format?: LogFormat;
  /** When known, lines bear `logging.googleapis.com/trace` in Google Cloud's form. */
  readonly projectId?: string | undefined;
  /** Paths (pino's: `customer.vatId`, `*.vatId`) that are redacted besides those of sensitive-fields.ts. */
  readonly redact?: readonly string[];
  /** What must not be told wherever it occurs in a line: this process's tokens and passwords (`secretsOf(config)`). */
  readonly secrets?: readonly string[];
  /** Default: stderr, because stdout belongs to the program's own output. */
  readonly destination?: DestinationStream;
}

/**
 * A logger whose every line bears the active span's ids, the order key and the saga's id.
 *
 * Redacted are fields by their path, errors down to what errorFields tells, and then, in every text of the line, what is
 * personal or secret by its form (scrub.ts). Errors: those of pino for a path that is none.
 */
export function createLogger(options: LogOptions): Logger {
  const { format = 'plain', redact = [], secrets = [] } = options;
  const scrub = createScrub({ secrets });
  return pino(
    {
      level: options.level,
      base: { service: options.serviceName },
      mixin: () => traceFields(options.projectId, format),
      serializers: { err: errorFields, error: errorFields },
      redact: { paths: sensitivePaths(redact), censor: REDACTED },
      hooks: { streamWrite: (line) => scrubLine(line, scrub) },
      ...(format === 'google' && googleFields(options)),
    },
    options.destination ?? pino.destination({ dest: 2, sync: true }),
  );
}

/** Google's names for pino's levels. Source: Cloud Logging, LogSeverity. */
const SEVERITIES: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** Source: Cloud Logging, "Structured logging", special fields; Error Reporting, "Format errors in logs". */
function googleFields({ serviceName, serviceVersion }: LogOptions): LoggerOptions {
  const serviceContext = { service: serviceName, ...(serviceVersion && { version: serviceVersion }) };
  return {
    base: { service: serviceName, serviceContext },
    messageKey: 'message',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: {
      level: (label) => ({ severity: SEVERITIES[label] ?? 'DEFAULT' }),
      // Error Reporting groups by the stack, and looks for it here.
      log: (fields) => {
        const { err } = fields;
        return err instanceof Error ? { ...fields, stack_trace: err.stack } : fields;
      },
    },
  };
}

function traceFields(projectId: string | undefined, format: LogFormat): Record<string, string | boolean> {
  const active = context.active();
  const fields: Record<string, string | boolean> = orderAttributes(active);
  const span = trace.getSpanContext(active);
  if (!span || !isSpanContextValid(span)) return fields;
  fields['trace_id'] = span.traceId;
  fields['span_id'] = span.spanId;
  fields['trace_flags'] = span.traceFlags.toString(16).padStart(2, '0');
  if (projectId) fields['logging.googleapis.com/trace'] = `projects/${projectId}/traces/${span.traceId}`;
  if (format === 'google') {
    fields['logging.googleapis.com/spanId'] = span.spanId;
    fields['logging.googleapis.com/trace_sampled'] = (span.traceFlags & 1) === 1;
  }
  return fields;
}

const JSON_TEXT = /"(?:[^"\\]|\\.)*"/g;

/** Each text of the line is read, scrubbed and written anew, so that it stays JSON whatever was in it. */
function scrubLine(line: string, scrub: Scrub): string {
  return line.replace(JSON_TEXT, (quoted) => {
    const text = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
    const clean = scrub(text);
    return clean === text ? quoted : JSON.stringify(clean);
  });
}
