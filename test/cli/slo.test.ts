import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../shared/free-port.ts';
import { findProgram, MAY_BE_MISSING, startPrometheus, WHY_SKIPPED } from '../support/prometheus.ts';
import { complaint, throughline } from './throughline.ts';

const ended = (outcome: string) =>
  `throughline_sagas_ended_total{saga_name="workspace-card-order",saga_outcome="${outcome}"}`;
const report = (url: string, ...more: string[]) =>
  throughline(['slo', 'report', '--prometheus', url, ...more]);

it.skipIf(MAY_BE_MISSING && !findProgram('prometheus'))(
  `tells from a real Prometheus what is left of each budget (not run when ${WHY_SKIPPED})`,
  async () => {
    // A thousand orders an hour for eight hours; in the last one and a half one in two hundred gets stuck.
    const url = await startPrometheus(
      [
        { series: ended('confirmed'), value: (minute) => minute * 200 },
        { series: ended('stuck'), value: (minute) => Math.max(0, minute - 390) },
      ],
      8,
    );
    const { stdout, stderr, exitCode } = await report(url, '--json');
    expect([exitCode, stderr]).toEqual([0, '']);
    const { windowHours, objectives } = JSON.parse(stdout);
    expect(windowHours).toBe(720);
    const [orders, ...others] = objectives;
    expect(orders).toMatchObject({ name: 'orders-ended-cleanly', target: 0.999 });
    expect(Math.abs(orders.totalEvents / 96_090 - 1)).toBeLessThan(0.01);
    expect(Math.abs(orders.badEvents / 90 - 1)).toBeLessThan(0.05);
    // 90 of 96,090 are bad, and 96 may be.
    expect(orders.budgetLeft).toBeGreaterThan(0.02);
    expect(orders.budgetLeft).toBeLessThan(0.12);
    expect(orders.burn['1h']).toBeCloseTo(1 / 201 / 0.001, 1);
    expect(orders.burn['6h']).toBeLessThan(orders.burn['1h'] / 2);
    for (const other of others)
      expect(other).toMatchObject({ totalEvents: 0, attained: null, budgetLeft: 1, burn: { '1h': null } });

    const table = await report(url);
    expect(table.stdout).toMatch(/^OBJECTIVE +TARGET +ATTAINED +EVENTS +BAD +BUDGET LEFT +BURN 5m/);
    expect(table.stdout).toMatch(/^orders-ended-cleanly +99\.9 % +99\.90\d %/m);
    expect(table.stdout).toMatch(/^set-up-freshness +99 % +- +0 +0 +- +- +- +- +- +-$/m);
  },
  60_000,
);

it('says in one line that nobody answers, and that it is no Prometheus', async () => {
  const away = `http://127.0.0.1:${await freePort()}`;
  const nobody = await report(away);
  expect(complaint(nobody)).toBe(`no answer from ${away}/api/v1/query: ECONNREFUSED`);
  expect(nobody.exitCode).toBe(1);
  const answers = ['<html>', '{"status":"error","errorType":"bad_data","error":"parse error"}'];
  const server = createServer((_, response) => response.end(answers[0]));
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(complaint(await report(url))).toBe(
    `${url}/api/v1/query answered 200, and not as Prometheus does; is this its address?`,
  );
  answers.shift();
  expect(complaint(await report(url))).toBe('Prometheus refused the query (bad_data): parse error');
});

it('refuses an address that is none', async () => {
  const ended = await report('prometheus:9090');
  expect([ended.exitCode, complaint(ended)]).toEqual([
    2,
    "option '--prometheus <url>' argument 'prometheus:9090' is invalid. It must be an http:// or https:// address.",
  ]);
});
