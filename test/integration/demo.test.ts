import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runToEnd } from '../support/child-process.ts';
import { gcloudMissing } from '../support/pubsub-target.ts';

const demo = (...args: string[]) => runToEnd(process.execPath, ['scripts/publish.ts', 'demo', ...args]);

interface DemoJson {
  readonly ok: boolean;
  readonly badLines: readonly { line: number; reason: string }[];
  readonly orders: readonly {
    orderKey: string;
    outcome: string;
    setUpAttempts: number;
    connected: boolean;
    problems: readonly string[];
    spans: readonly { service: string; name: string }[];
  }[];
}

describe('npm run publish demo', () => {
  test('prints three connected orders, one with its compensations in reverse, and exits with 0', async () => {
    const { exitCode, stdout, stderr } = await runToEnd('npm', ['run', 'publish', 'demo']);
    expect(exitCode, stderr).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no colours into a pipe is what is tested
    expect(stdout).not.toMatch(/\u001B/);
    const trees = stdout.split(/\n(?=O-[a-z0-9]+-\d {2})/).slice(1);
    expect(trees).toHaveLength(3);
    const [succeeded = '', compensated = '', retried = ''] = trees;
    for (const tree of trees) {
      expect(tree).toMatch(/place order +order-service/);
      expect(tree).toMatch(/process workspace-jobs +order-worker/);
    }
    expect(succeeded).toMatch(/^✓ confirmed · connected: 12 spans of 2 services in trace [0-9a-f]{32}$/m);
    expect(compensated).toMatch(/^✓ compensated · connected: \d+ spans of 2 services/m);
    const undone = compensated.matchAll(/compensate (\S+) .*↩ undoes step (\S+)/g);
    expect([...undone].map(([, compensation, step]) => [compensation, step])).toEqual([
      ['settle-payment', 'settle-payment'],
      ['redeem-card', 'redeem-card'],
    ]);
    expect(compensated).toMatch(/attempt 3 {2}→ dead letter/);
    expect(retried).toMatch(/attempt 3 {2}⇠ attempt 2/);
    expect(retried).toMatch(/^✓ confirmed · connected/m);
    expect(stdout).toContain('3 of 3 orders are connected and ended as they should.');
  });

  test('with --orders names each bad line and its reason, runs the good ones, and exits with 1', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'orders-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'orders.jsonl');
    const order = (orderKey: string, more: object = {}) =>
      JSON.stringify({ orderKey, domain: 'shop.example', email: 'owner@shop.example', ...more });
    const refused = { partner: 'workspace', effect: 'set-up', status: 422 };
    const lines = [
      order('good-1'),
      '{"orderKey": ',
      '',
      order('no spaces please'),
      order('good-1'),
      order('good-2', { faults: [refused] }),
      order('good-3', { colour: 'red' }),
      '[]',
    ];
    await writeFile(file, lines.join('\n'));
    const { exitCode, stdout, stderr } = await demo('--orders', file, '--json');
    expect(exitCode).toBe(1);
    const reports: DemoJson = JSON.parse(stdout);
    expect(reports.ok).toBe(false);
    expect(reports.badLines.map(({ line }) => line)).toEqual([2, 4, 5, 7, 8]);
    expect(reports.orders).toMatchObject([
      { orderKey: 'good-1', outcome: 'confirmed', connected: true, problems: [] },
      { orderKey: 'good-2', outcome: 'compensated', connected: true, problems: [] },
    ]);
    const complaints = stderr.split('\n').filter((line) => line !== '');
    expect(complaints).toEqual([
      expect.stringMatching(/orders\.jsonl:2: expected a JSON object: /),
      expect.stringMatching(/orders\.jsonl:4: orderKey: expected up to 128 letters/),
      expect.stringMatching(/orders\.jsonl:5: orderKey: "good-1" was used on line 1 already$/),
      expect.stringMatching(/orders\.jsonl:7: .*"colour"/),
      expect.stringMatching(/orders\.jsonl:8: /),
    ]);
  });

  test('with --json prints one object for programs and nothing else', async () => {
    const { exitCode, stdout, stderr } = await demo('--json');
    expect(exitCode, stderr).toBe(0);
    const { ok, badLines, orders }: DemoJson = JSON.parse(stdout);
    expect({ ok, badLines }).toEqual({ ok: true, badLines: [] });
    expect(orders).toMatchObject([
      { outcome: 'confirmed', setUpAttempts: 1, connected: true, problems: [] },
      { outcome: 'compensated', setUpAttempts: 3, connected: true, problems: [] },
      { outcome: 'confirmed', setUpAttempts: 3, connected: true, problems: [] },
    ]);
    for (const { spans } of orders) {
      expect(new Set(spans.map(({ service }) => service))).toEqual(
        new Set(['order-service', 'order-worker']),
      );
    }
  });

  test.each([
    { said: 'a file that is not there', args: ['--orders', '/nonexistent/orders.jsonl'], answer: /ENOENT/ },
    { said: 'an unknown emulator', args: ['--emulator', 'mine'], answer: /Allowed choices are/ },
    { said: 'a time-out of nothing', args: ['--timeout', '0'], answer: /must be a number above 0/ },
  ])('answers $said in one line', async ({ args, answer }) => {
    const { exitCode, stdout, stderr } = await demo(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr.trim()).toMatch(answer);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test.skipIf(gcloudMissing)(
    `runs on Google's emulator too${gcloudMissing ? ` (${gcloudMissing})` : ''}`,
    async () => {
      const { exitCode, stdout, stderr } = await demo('--emulator', 'gcloud');
      expect(exitCode, stderr).toBe(0);
      expect(stdout).toContain("Pub/Sub: Google's emulator at ");
      expect(stdout).toContain('3 of 3 orders are connected and ended as they should.');
    },
  );
});
