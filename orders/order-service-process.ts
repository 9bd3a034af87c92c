import { type Config, ConfigError } from '../shared/index.ts';
import { assertInstrumented } from '../shared/trace/instrumentation.ts';
import { startOrderService } from './order-service.ts';
import { createPartners } from './partners/partners.ts';
import { runProcess } from './process.ts';

/** Errors: ConfigError, NotInstrumentedError, and those of `startOrderService`. */
export async function runOrderService(config: Config): Promise<void> {
  assertInstrumented(['node:http', 'express', 'pg', 'fetch']);
  const { signingSecret, partnersUrl } = config;
  if (signingSecret === undefined)
    throw new ConfigError(['THROUGHLINE_SIGNING_SECRET: expected at least 32 characters']);
  if (partnersUrl === undefined)
    throw new ConfigError(['PARTNERS_URL: expected an http:// or https:// address']);
  await runProcess(config, 'order-service', async ({ name, logger, connection, database }) => {
    const service = await startOrderService({
      database,
      connection,
      name,
      logger,
      signingSecret,
      partners: createPartners({ baseUrl: partnersUrl, logger }),
      port: config.port,
      host: config.host,
      publicUrl: config.publicUrl,
      threeDSecureTimeoutMs: config.threeDSecureTimeoutMs,
      leaseMs: config.leaseMs,
      resendAfterMs: config.resendAfterMs,
      ackDeadlineMs: config.ackDeadlineMs,
      drainTimeoutMs: config.drainMs,
      relay: config.relay === 'embedded',
    });
    return { ready: { url: service.url }, stop: service.stop };
  });
}
