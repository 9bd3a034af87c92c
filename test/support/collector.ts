import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { SpanRecord } from '../../insight/index.ts';
import { readConfig } from '../../shared/config.ts';
import { freePort } from '../../shared/free-port.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { cleanEnvironment, endWithTest, exitOf, ROOT } from './child-process.ts';

/** Where deploy/collector/builder.yaml puts it. */
const BINARY = join(ROOT, 'deploy/collector/dist/throughline-collector');
export const CONFIG = join(ROOT, 'deploy/collector/collector.yaml');

/** Why a collector cannot be run here; undefined when it can, and in CI, which builds it: a skipped test would pass for ever. */
export const collectorMissing =
  readConfig().ci || existsSync(BINARY)
    ? undefined
    : `no OpenTelemetry Collector at ${BINARY}; deploy/collector/README.md says how one is built`;

export interface RunningCollector {
  /** Where to send OTLP. */
  readonly endpoint: string;
  /** What it let through. */
  readonly spans: readonly SpanRecord[];
  /** Resolves once a metric was sent that holds this text. */
  metricWith(text: string): Promise<void>;
  /** Has it decide on everything that it has, and send it. Resolves when it has ended. */
  drain(): Promise<void>;
}

/** Runs the repository's own configuration, with decisions after a second. Ended with the test. */
export async function startCollector(env: Readonly<Record<string, string>> = {}): Promise<RunningCollector> {
  const spans: SpanRecord[] = [];
  const traces = await startOtlpReceiver({ onSpans: (received) => spans.push(...received) });
  const metrics = await startMetricsReceiver();
  const [otlp, health] = [await freePort(), await freePort()];
  const child = spawn(BINARY, ['--config', CONFIG], {
    env: cleanEnvironment({
      TRACES_ENDPOINT: traces.endpoint,
      METRICS_ENDPOINT: metrics.endpoint,
      OTLP_ADDRESS: `127.0.0.1:${otlp}`,
      HEALTH_ADDRESS: `127.0.0.1:${health}`,
      DECISION_WAIT: '1s',
      SPAN_METRICS_INTERVAL: '200ms',
      ...env,
    }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  endWithTest(child);
  await healthy(`http://127.0.0.1:${health}`, child);
  return {
    endpoint: `http://127.0.0.1:${otlp}`,
    spans,
    metricWith: metrics.with,
    async drain() {
      child.kill('SIGTERM');
      await exitOf(child);
      await Promise.all([traces.close(), metrics.close()]);
    },
  };
}

const READY_TRIES = 200;

async function healthy(url: string, child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  for (let tries = 0; tries < READY_TRIES && child.exitCode === null; tries++) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the collector did not get ready:\n${said}`);
}

/** Keeps the texts of what it gets: names and label values are plain in OTLP's protobuf. */
async function startMetricsReceiver() {
  let seen = '';
  const arrivals = createArrivals(() => `${seen.length} bytes of metrics`);
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    seen += (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString('latin1');
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    arrivals.notify();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    with: async (text: string) => {
      await arrivals.waitFor(() => seen.includes(text), { timeoutMs: 15_000 });
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
