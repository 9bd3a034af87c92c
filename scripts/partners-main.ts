import { startPartnersSandbox } from '../emulator/partners/sandbox.ts';
import { onShutdown, readConfig, startTelemetry } from '../shared/index.ts';

/**
 * The partners' sandbox as a process of its own. Its first argument, a number, repeats the faults that strike by chance; its
 * second is the address under which customers' browsers reach the bank's page, where that is not loopback.
 */
const [seed = '1', publicUrl] = process.argv.slice(2);
const config = readConfig();
const telemetry = startTelemetry({
  serviceName: config.serviceName ?? 'partners',
  otlpEndpoint: config.otlpEndpoint,
  pushesMetrics: config.pushesMetrics,
  sampling: { keep: config.keptShare, slowMs: config.slowMs },
  batch: { scheduledDelayMs: config.spanDelayMs },
});
const sandbox = await startPartnersSandbox({
  port: config.port,
  host: config.host,
  publicUrl,
  seed: Number.parseInt(seed, 10),
});
onShutdown(async () => {
  await sandbox.close();
  await telemetry.shutdown();
});
process.send?.({ url: sandbox.url });
