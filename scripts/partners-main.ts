import { startPartnersSandbox } from '../emulator/partners/sandbox.ts';
import { onShutdown, readConfig, startTelemetry } from '../shared/index.ts';

/** The partners' sandbox as a process of its own. Its argument, a number, repeats the faults that strike by chance. */
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
  seed: Number.parseInt(process.argv[2] ?? '1', 10),
});
onShutdown(async () => {
  await sandbox.close();
  await telemetry.shutdown();
});
process.send?.({ url: sandbox.url });
