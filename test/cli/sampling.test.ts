import { describe, expect, it } from 'vitest';
import { freePort } from '../../shared/free-port.ts';
import { serve } from '../support/http-server.ts';
import { sendTraces } from '../support/stored-traces.ts';
import { complaint, throughline } from './throughline.ts';

const ARGS = [
  '--rps',
  '1000',
  '--error-rate',
  '0.005',
  '--slow-rate',
  '0.01',
  '--keep',
  '0.05',
  '--trace-kb',
  '10',
];

describe('throughline sampling estimate', () => {
  it('prints traces a second, a day, and gigabytes a day, without a database', async () => {
    const { exitCode, stdout, stderr } = await throughline(['sampling', 'estimate', ...ARGS]);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['KEPT', 'TRACES/S', 'TRACES/DAY', 'GB/DAY'],
      ['failed', '5', '432,000', '4.32'],
      ['slow', '10', '864,000', '8.64'],
      ['of the rest', '49.3', '4.26 million', '42.6'],
      ['6.43 % of all', '64.3', '5.55 million', '55.5'],
      [''],
    ]);
  });

  it('prints one JSON document', async () => {
    const { stdout } = await throughline(['sampling', 'estimate', ...ARGS, '--json']);
    const estimate = JSON.parse(stdout);
    expect(estimate.tracesPerSecond).toBeCloseTo(64.25);
    expect(estimate.gigabytesPerDay).toBeCloseTo(55.512);
  });

  it('measures the size of a trace in a store', async () => {
    const { bytes, stored } = await sendTraces(20);
    const asked: URL[] = [];
    const store = await serve((request, response) => {
      asked.push(new URL(request.url ?? '', 'http://store'));
      response.end(`${JSON.stringify({ result: stored })}\n`);
    });
    const { stdout, stderr } = await throughline([
      ...['sampling', 'estimate', '--rps', '1000', '--store', store],
      ...['--service', 'shop', '--traces', '50', '--json'],
    ]);
    expect(stderr).toBe('');
    const { traceBytes, measured, gigabytesPerDay, tracesPerDay } = JSON.parse(stdout);
    expect(measured).toMatchObject({ traces: 20, spans: 40 });
    expect(Math.abs(traceBytes / (bytes / 20) - 1)).toBeLessThan(0.06);
    expect(gigabytesPerDay).toBeCloseTo((tracesPerDay * traceBytes) / 1e9, 9);
    const [{ pathname, searchParams } = new URL('http://nobody')] = asked;
    expect([pathname, searchParams.get('query.service_name'), searchParams.get('query.num_traces')]).toEqual([
      '/api/v3/traces',
      'shop',
      '50',
    ]);
  });

  it('says in one line what is the matter with the store', async () => {
    const answers: [number, string][] = [
      [404, '{"error":{"httpCode":404,"message":"No traces found"}}'], // Jaeger 1.76
      [404, '404 page not found'],
      [200, '<html>'],
    ];
    const store = await serve((_, response) => {
      const [status, body] = answers.shift() ?? [500, ''];
      response.writeHead(status).end(body);
    });
    const ask = (url: string, ...more: string[]) =>
      throughline(['sampling', 'estimate', '--rps', '1', '--store', url, ...more]);
    const path = `${store}/api/v3/traces`;
    expect(complaint(await ask(store))).toBe(
      `sampling estimate: ${store} has no trace of service "order-service" in the last 1 h; say --service, --since-hours or --trace-kb`,
    );
    expect(complaint(await ask(store))).toBe(`${path} answered 404; is this Jaeger's address?`);
    expect(complaint(await ask(store))).toBe(
      `${path} answered, and not as Jaeger does; is this its address?`,
    );
    const away = `http://127.0.0.1:${await freePort()}`;
    expect(complaint(await ask(away))).toBe(`no answer from ${away}/api/v3/traces: ECONNREFUSED`);
    expect(complaint(await ask(away, '--traces', '0.5'))).toBe(
      'sampling estimate: traces: expected a whole number above 0',
    );
    expect(complaint(await ask(away, '--trace-kb', '3'))).toBe(
      "option '--store <url>' cannot be used with option '--trace-kb <number>'",
    );
  }, 60_000);
});
