import {
  type Config,
  ConfigError,
  connect,
  createLogger,
  type Logger,
  onShutdown,
  type PubSubConnection,
  scrub,
  secretsOf,
  startTelemetry,
} from '../shared/index.ts';
import { auditAction } from '../shared/operator-action.ts';
import { profileOnSignal } from '../shared/profile/on-signal.ts';
import { createProfileRoute, PROFILE_PATH, type ProfileRequest } from '../shared/profile/route.ts';
import { storableText } from '../shared/storable.ts';
import { type Database, openDatabase } from '../shared/storage/database.ts';
import { assertResendsInTime } from './relay.ts';

/** What every process of the reference system has: a name, a log, telemetry, Pub/Sub and a database. */
export interface OrdersProcess {
  readonly name: string;
  readonly logger: Logger;
  readonly connection: PubSubConnection;
  readonly database: Database;
}

/**
 * Starts what every process has, runs `start`, and sees to the polite exit: what `start` returned is stopped first, and
 * telemetry last, so that the last spans leave.
 *
 * `ready` goes to whoever started this process as a child.
 * Errors: ConfigError, and what `start` throws; then nothing is left running.
 */
export async function runProcess(
  config: Config,
  defaultName: string,
  start: (own: OrdersProcess) => Promise<{ readonly ready?: object; stop(): Promise<unknown> }>,
): Promise<void> {
  if (config.databaseUrl === undefined)
    throw new ConfigError(['DATABASE_URL: expected postgresql://user:password@host:port/database']);
  assertResendsInTime(config.resendAfterMs);
  const name = config.serviceName ?? defaultName;
  const secrets = secretsOf(config);
  const logger = createLogger({
    ...{ serviceName: name, level: config.logLevel, format: config.logFormat },
    ...{ projectId: config.projectId, secrets },
  });
  logUncaught(logger);
  const { adminToken: token, profileFolder: folder } = config;
  const onProfile = (asked: ProfileRequest) => auditProfile({ name, database, logger }, asked);
  const telemetry = startTelemetry({
    serviceName: name,
    otlpEndpoint: config.otlpEndpoint,
    pushesMetrics: config.pushesMetrics,
    spans: config.spans,
    ...(config.prometheusPort !== undefined && {
      scrape: {
        host: config.prometheusHost,
        port: config.prometheusPort,
        routes: {
          [PROFILE_PATH]: createProfileRoute({ service: name, token, logger, onStarted: onProfile }),
        },
      },
    }),
    runtimeMetrics: true,
    sampling: { keep: config.keptShare, slowMs: config.slowMs },
    batch: { scheduledDelayMs: config.spanDelayMs },
    secrets,
  });
  const database = openDatabase({ connectionString: config.databaseUrl, applicationName: name, logger });
  const closing: (() => Promise<unknown>)[] = [
    () => telemetry.shutdown(),
    () => database.close(),
    profileOnSignal({ folder, service: name, logger }),
  ];
  const stop = async () => {
    logger.info('stopping');
    for (const close of closing.splice(0).toReversed())
      await close().catch((error) => logger.error({ err: error }, 'stopping a part failed'));
    logger.info('stopped');
  };
  onShutdown(stop);
  try {
    const metricsUrl = await telemetry.scrapeUrl();
    const connection = await connect({
      projectId: config.projectId,
      emulatorHost: config.pubsubEmulatorHost,
    });
    closing.push(() => connection.close());
    const running = await start({ name, logger, connection, database });
    closing.push(() => running.stop());
    const ready = { ...running.ready, ...(metricsUrl !== undefined && { metricsUrl }) };
    logger.info(ready, 'started');
    process.send?.(ready);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Who costs this process CPU is worth knowing; that it cannot be written down is no reason to see nothing. */
async function auditProfile(
  { name, database, logger }: Pick<OrdersProcess, 'name' | 'database' | 'logger'>,
  { actor, kind, seconds }: ProfileRequest,
): Promise<void> {
  const details = { kind, seconds };
  logger.info({ actor, ...details }, 'a profile is being taken');
  const act = { actor: storableText(actor), via: 'http', action: 'profile.take', target: name } as const;
  try {
    await auditAction(database, { ...act, reason: undefined, details });
  } catch (error) {
    logger.warn({ err: error }, 'the audit does not know of a profile');
  }
}

/** Node itself would print everything that hangs on the error. The state is unknown then: the process ends. */
function logUncaught(logger: Logger): void {
  process.once('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught');
    process.exit(1);
  });
}

/** For main files: a failed start is told in one line, and is no success. */
export async function runMain(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    process.stderr.write(`${scrub(told)}\n`);
    process.exit(1);
  }
}
