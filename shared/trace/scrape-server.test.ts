import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { count } from './meters.ts';
import { ScrapeAddressError } from './scrape-server.ts';
import { startTelemetry } from './telemetry.ts';

function start(port: number) {
  const telemetry = startTelemetry({ serviceName: 'test', scrape: { port } });
  onTestFinished(() => telemetry.shutdown());
  return telemetry;
}

test('Prometheus gets what was counted, and nothing is anywhere else', async () => {
  const telemetry = start(0);
  const url = (await telemetry.scrapeUrl()) ?? '';
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  count('throughline.partner.calls', { partner: 'card', effect: 'redeem', outcome: 'done' }, 3);
  const text = await (await fetch(url)).text();
  expect(text).toContain(
    '# TYPE throughline_partner_calls_total counter\nthroughline_partner_calls_total{partner="card",effect="redeem",outcome="done"} 3\n',
  );
  for (const reason of ['queue_full', 'export_failed', 'hold_full', 'work_too_large'])
    expect(text).toContain(`throughline_spans_dropped_total{reason="${reason}"} 0`);
  expect((await fetch(url.replace('/metrics', '/'))).status).toBe(404);
  expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(405);
  await telemetry.shutdown();
  await expect(fetch(url)).rejects.toThrow();
});

test('an address that is taken is an error that names the setting', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const error = await start(port)
    .scrapeUrl()
    .catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(ScrapeAddressError);
  expect((error as Error).message).toBe(
    `OTEL_EXPORTER_PROMETHEUS_PORT: metrics cannot be served on 127.0.0.1:${port} (EADDRINUSE); each process needs a port of its own`,
  );
});

test('without a port nothing is served', async () => {
  const telemetry = startTelemetry({ serviceName: 'test' });
  onTestFinished(() => telemetry.shutdown());
  expect(await telemetry.scrapeUrl()).toBeUndefined();
});
