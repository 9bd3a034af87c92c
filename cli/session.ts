import { type Config, readConfig } from '../shared/config.ts';
import { type Database, openDatabase } from '../shared/storage/database.ts';
import { inTime } from '../shared/time-limit.ts';
import type { Telemetry } from '../shared/trace/telemetry.ts';
import { UsageError } from './failure.ts';

export interface SessionOptions {
  /** `read`: nothing is traced, but trace ids can be read. `act`: spans are exported, if there is an endpoint for them. */
  readonly purpose: 'read' | 'act';
  /** Default 30_000; 0: none. */
  readonly statementTimeoutMs?: number;
  /** Default 2. */
  readonly maxConnections?: number;
  /** On spans, unless the configuration names another one. Default `throughline-cli`. */
  readonly serviceName?: string;
}

/** A person waits for the answer: a database that is away is said to be so soon. */
const RECONNECT_WITHIN_MS = 1_500;
/** How long the end waits for spans to be exported, in ms. */
const EXPORT_WITHIN_MS = 3_000;

/** Runs `work` with the database of the configuration, and closes what it opened. Errors: ConfigError, UsageError. */
export async function withDatabase<T>(
  options: SessionOptions,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const config = readConfig();
  const { databaseUrl, otlpEndpoint, serviceName = options.serviceName ?? 'throughline-cli' } = config;
  if (databaseUrl === undefined)
    throw new UsageError(
      'DATABASE_URL is not set; give the database as postgresql://user:password@host:port/database',
    );
  const telemetry = await traced(options, config, serviceName);
  const database = openDatabase({
    connectionString: databaseUrl,
    applicationName: serviceName,
    maxConnections: options.maxConnections ?? 2,
    reconnectWithinMs: RECONNECT_WITHIN_MS,
    ...(options.statementTimeoutMs !== undefined && { statementTimeoutMs: options.statementTimeoutMs }),
  });
  try {
    return await work(database);
  } finally {
    await database.close();
    if (telemetry) await exported(telemetry, otlpEndpoint);
  }
}

/** What was done stays done when nobody takes its span; it is said. */
async function exported(telemetry: Telemetry, endpoint: string | undefined): Promise<void> {
  const isLate = await inTime(
    telemetry.shutdown().then(() => false),
    EXPORT_WITHIN_MS,
    () => true,
  );
  if (isLate)
    console.error(`throughline: no answer from ${endpoint}: the span may be missing from the trace`);
}

/** A context that is written into the database but never exported would be a link into nothing: then there is none. */
async function traced(
  { purpose }: SessionOptions,
  { otlpEndpoint, pushesMetrics }: Config,
  serviceName: string,
): Promise<Telemetry | undefined> {
  if (purpose === 'act' && otlpEndpoint === undefined) return undefined;
  const { startTelemetry } = await import('../shared/trace/telemetry.ts'); // a third of the start-up time
  return startTelemetry({ serviceName, pushesMetrics, ...(purpose === 'act' && { otlpEndpoint }) });
}
