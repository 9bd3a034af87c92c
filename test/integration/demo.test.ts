import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runToEnd } from '../support/child-process.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { gcloudMissing } from '../support/pubsub-target.ts';

/** Starting and ending the system comes on top of its orders. */
const TIMEOUT_MS = 2 * PATIENCE_MS;
const demo = (...args: string[]) =>
  runToEnd(process.execPath, ['scripts/publish.ts', 'demo', ...args], { timeoutMs: TIMEOUT_MS });

interface DemoJson {
  readonly ok: boolean;
  readonly badLines: readonly { line: number; reason: string }[];
  readonly orders: readonly {
    orderKey: string;
    outcome: string;
    setUpAttempts: number;
    compensations: readonly string[];
    connected: boolean;
    problems: readonly string[];
    spans: readonly { service: string; name: string }[];
  }[];
}

const SIX_STEPS_BACK = ['set-up-workspace', 'settle-payment', 'create-contract', 'redeem-card'];

async function orderFile(lines: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'orders.jsonl');
  await writeFile(file, lines.join('\n'));
  return file;
}

const line = (orderKey: string, more: object = {}) =>
  JSON.stringify({ orderKey, domain: 'shop.example', email: 'owner@shop.example', ...more });

describe('npm run publish demo', { timeout: TIMEOUT_MS + PATIENCE_MS }, () => {
  test('prints five connected orders, compensations in reverse among them, and exits with 0', async () => {
    const { exitCode, stdout, stderr } = await runToEnd('npm', ['run', 'publish', 'demo'], {
      timeoutMs: TIMEOUT_MS,
    });
    expect(exitCode, stderr).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no colours into a pipe is what is tested
    expect(stdout).not.toMatch(/\u001B/);
    const trees = stdout.split(/\n(?=O-[a-z0-9]+-\d {2})/).slice(1);
    expect(trees).toHaveLength(5);
    const [approved = '', declined = '', failed = '', lost = '', killed = ''] = trees;
    for (const tree of trees) {
      expect(tree).toMatch(/^POST \/orders +order-service/m);
      expect(tree).toMatch(/└─ saga workspace-card-order +order-service/);
      expect(tree).not.toMatch(/pg\.query/);
    }
    expect(approved).toMatch(/resume workspace-card-order .*⇠ caused by GET \/orders\/:orderKey\/3ds-return/);
    expect(approved).toMatch(/^✓ confirmed · connected: \d+ spans of 3 services in 2 traces/m);
    expect(undoneIn(declined)).toEqual(['settle-payment', 'create-contract', 'redeem-card']);
    expect(declined).toMatch(/^✓ compensated · connected: \d+ spans of 2 services in 2 traces/m);
    expect(undoneIn(failed)).toEqual(SIX_STEPS_BACK);
    expect(failed).toMatch(/attempt 3 {2}→ dead letter {2}⇠ attempt 2/);
    expect(failed).toMatch(
      /^✓ compensated · connected: \d+ spans of 3 services in trace [0-9a-f]{32} \(\d+ of statements and requests not shown\)$/m,
    );
    expect(lost).toMatch(/POST \/v1\/card\/redeem .*✗ connection-broken/);
    expect(lost).toMatch(/^✓ confirmed/m);
    // Once more, or more often where the other worker is slow to start.
    expect(killed.match(/send workspace-jobs .*workspace\.set-up/g)?.length).toBeGreaterThanOrEqual(2);
    expect(killed).toMatch(/^✓ confirmed/m);
    expect(stdout).toContain('5 of 5 orders are connected and ended as they should.');
  });

  test('with --orders names each bad line and its reason, runs the good ones, and exits with 1', async () => {
    const items = [{ sku: 'workspace-plus', quantity: 100 }];
    const refused = { partner: 'workspace', effect: 'set-up', kind: 'refuse' };
    const file = await orderFile([
      line('good-1'),
      '{"orderKey": ',
      '',
      line('no spaces please'),
      line('good-1'),
      line('good-2', { faults: [refused] }),
      line('good-3', { colour: 'red' }),
      '[]',
      line('good-4', { items, decision: 'decline' }),
      line('good-5', { faults: [{ ...refused, kind: 'lost-answer', times: 2 }] }),
      line('good-6', { faults: [{ ...refused, kind: 'bad-mood' }] }),
    ]);
    const { exitCode, stdout, stderr } = await demo('--orders', file, '--json');
    expect(exitCode).toBe(1);
    const reports: DemoJson = JSON.parse(stdout);
    expect(reports.ok).toBe(false);
    expect(reports.badLines.map((bad) => bad.line)).toEqual([2, 4, 5, 7, 8, 11]);
    const right = { connected: true, problems: [] };
    expect(reports.orders).toMatchObject([
      { orderKey: 'good-1', outcome: 'confirmed', ...right },
      { orderKey: 'good-2', outcome: 'compensated', setUpAttempts: 1, ...right },
      { orderKey: 'good-4', outcome: 'compensated', setUpAttempts: 0, ...right },
      { orderKey: 'good-5', outcome: 'confirmed', compensations: [], ...right },
    ]);
    const complaints = stderr.split('\n').filter((text) => text !== '');
    expect(complaints).toEqual([
      expect.stringMatching(/orders\.jsonl:2: expected a JSON object: /),
      expect.stringMatching(/orders\.jsonl:4: orderKey: expected up to 128 letters/),
      expect.stringMatching(/orders\.jsonl:5: orderKey: "good-1" was used on line 1 already$/),
      expect.stringMatching(/orders\.jsonl:7: .*"colour"/),
      expect.stringMatching(/orders\.jsonl:8: /),
      expect.stringMatching(/orders\.jsonl:11: faults\.0\.kind: .*"lost-answer"/),
    ]);
  });

  test('an order whose customer never goes to the bank is told as unfinished, and the exit code is 1', async () => {
    const items = [{ sku: 'workspace-plus', quantity: 100 }];
    const file = await orderFile([line('undecided', { items, decision: 'ignore' })]);
    const { exitCode, stdout } = await demo('--orders', file, '--json', '--timeout', '3');
    expect(exitCode).toBe(1);
    const { orders }: DemoJson = JSON.parse(stdout);
    expect(orders).toMatchObject([
      { outcome: 'waiting', problems: expect.arrayContaining(['the order is waiting, which is no end']) },
    ]);
  });

  test('with --json prints one object for programs and nothing else', async () => {
    const { exitCode, stdout, stderr } = await demo('--json');
    expect(exitCode, stderr).toBe(0);
    const { ok, badLines, orders }: DemoJson = JSON.parse(stdout);
    expect({ ok, badLines }).toEqual({ ok: true, badLines: [] });
    const right = { connected: true, problems: [] };
    expect(orders).toMatchObject([
      { outcome: 'confirmed', setUpAttempts: 1, compensations: [], ...right },
      { outcome: 'compensated', setUpAttempts: 0, ...right },
      { outcome: 'compensated', setUpAttempts: 3, compensations: SIX_STEPS_BACK, ...right },
      { outcome: 'confirmed', setUpAttempts: 1, compensations: [], ...right },
      { outcome: 'confirmed', compensations: [], ...right },
    ]);
    for (const { spans, setUpAttempts } of orders) {
      const worker = setUpAttempts > 0 ? ['order-worker'] : [];
      expect(new Set(spans.map(({ service }) => service))).toEqual(
        new Set(['order-service', 'partners', ...worker]),
      );
    }
  });

  test('with --all-spans shows the statements and requests too', async () => {
    const file = await orderFile([line('all-of-it')]);
    const { exitCode, stdout, stderr } = await demo('--orders', file, '--all-spans');
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toMatch(/─ pg\.query:COMMIT/);
    expect(stdout).toMatch(/─ request handler +order-service/);
    expect(stdout).not.toContain('not shown');
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
      expect(stdout).toContain('5 of 5 orders are connected and ended as they should.');
    },
  );
});

/** The steps that a printed tree says were undone, from above to below; the mark has a line of its own where there is no room. */
function undoneIn(tree: string): string[] {
  const lines = tree.matchAll(/compensate (\S+) .*(?:\n[ │]+)?↩ undoes step (\S+)/g);
  return [...lines].flatMap(([, compensation, step]) =>
    compensation === step && step !== undefined ? [step] : [`${compensation} undoes ${step}`],
  );
}
