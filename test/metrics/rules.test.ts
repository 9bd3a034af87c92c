import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rulesFile } from '../../insight/objectives/rules.ts';
import { OBJECTIVES } from '../../orders/objectives.ts';
import { METRICS } from '../../shared/trace/metric-catalogue.ts';
import { ROOT } from '../support/child-process.ts';
import { findProgram, MAY_BE_MISSING, WHY_SKIPPED } from '../support/prometheus.ts';

const run = promisify(execFile);
const FOLDER = join(ROOT, 'deploy/prometheus');
const RUNBOOKS = join(ROOT, 'docs/runbooks');
const RULE_FILES = ['alerts.rules.yml', 'objectives.rules.yml'];
const TEST_FILES = readdirSync(join(FOLDER, 'tests')).filter((name) => name.endsWith('.test.yml'));

const read = (...path: string[]) => readFileSync(join(FOLDER, ...path), 'utf8');
const alerts = [
  ...new Set(
    RULE_FILES.flatMap((name) => [...read(name).matchAll(/- alert: (\w+)/g)].map(([, alert = '']) => alert)),
  ),
];
const cases = TEST_FILES.flatMap((name) =>
  [...read('tests', name).matchAll(/- name: "(.*)"/g)].map(([, title = '']) => title),
);
/** `SagaFailed` → `saga-failed` */
const pageOf = (alert: string) => alert.replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

const promtool = findProgram('promtool');

describe.skipIf(MAY_BE_MISSING && !promtool)(`promtool (not run when ${WHY_SKIPPED})`, () => {
  const ask = (args: readonly string[], cwd = FOLDER) => run(promtool ?? '', [...args], { cwd });

  it('finds rules and configuration valid', async () => {
    await ask(['check', 'rules', ...RULE_FILES]);
    await ask(['check', 'config', 'prometheus.yml']);
  });

  it.each(TEST_FILES)(
    'finds that each case of %s comes out as it says',
    async (name) => {
      await ask(['test', 'rules', name], join(FOLDER, 'tests'));
    },
    180_000, // thirty days of minutes: 13 s of CPU
  );

  // Otherwise cases that say nothing would pass too.
  it.each([
    ['(throughline_sagas_failed_total[10m])', '(throughline_sagas_failed_total[10m] offset 1h)', 'orders'],
    ['oldest_unsent_age) > 60', 'oldest_unsent_age) > 600', 'jobs'],
    ['outcome!~"done|refused|aborted"', 'outcome!~"done|aborted"', 'payments'],
    [') > 5\n', ') > 3\n', 'payments'],
    ['> 0.1 * sum', '> 0.01 * sum', 'jobs'],
    [
      'ratio_rate5m{objective="orders-ended-cleanly"} > 0.0144',
      'ratio_rate1h{objective="orders-ended-cleanly"} > 0.0144',
      'objectives',
    ],
  ])(
    'notices when a rule says %j no more',
    async (right, wrong, suite) => {
      const folder = await mkdtemp(join(tmpdir(), 'throughline-rules-'));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      await mkdir(join(folder, 'tests'));
      let changed = 0;
      for (const name of RULE_FILES) {
        const text = await readFile(join(FOLDER, name), 'utf8');
        if (text.includes(right)) changed += 1;
        await writeFile(join(folder, name), text.replaceAll(right, wrong));
      }
      expect(changed).toBe(1);
      await copyFile(join(FOLDER, `tests/${suite}.test.yml`), join(folder, `tests/${suite}.test.yml`));
      await expect(ask(['test', 'rules', `${suite}.test.yml`], join(folder, 'tests'))).rejects.toThrow(
        'FAILED',
      );
    },
    180_000, // thirty days of minutes: 13 s of CPU
  );
});

it.each(alerts)(
  '%s has a series that fires it, one that nearly does, and the first failure ever',
  (alert) => {
    for (const kind of ['fires', 'nearly', 'first ever'])
      expect(cases.filter((title) => title.startsWith(`${alert}: ${kind}`))).not.toEqual([]);
  },
);

it('each alert has a severity, a sentence and a runbook, and each runbook an alert', () => {
  for (const name of RULE_FILES) {
    for (const [, alert = '', body = ''] of read(name).matchAll(
      /- alert: (\w+)\n([\s\S]*?)(?=\n\s*- |\n\s*#|$(?![\s\S]))/g,
    )) {
      expect(body).toMatch(/labels: \{ severity: (page|ticket)\b/);
      expect(body).toMatch(/summary: ['"]?\S.{20,}/);
      expect(body).toContain(`runbook_url: docs/runbooks/${pageOf(alert)}.md`);
    }
  }
  expect(readdirSync(RUNBOOKS).toSorted()).toEqual(alerts.map((alert) => `${pageOf(alert)}.md`).toSorted());
});

it.each(alerts)(
  'the runbook of %s says what it means, what to look at, what helps, and names metrics that exist',
  (alert) => {
    const page = readFileSync(join(RUNBOOKS, `${pageOf(alert)}.md`), 'utf8');
    expect(page.split('\n')[0]).toBe(`# ${alert}`);
    for (const heading of ['What it means', 'What to look at', 'Which command helps', 'What to do'])
      expect(page).toContain(`\n## ${heading}\n`);
    expect(page).toMatch(/^throughline [a-z-]+ [a-z]+/m);
    const known = new Set(Object.keys(METRICS).map((name) => name.replaceAll('.', '_')));
    for (const [name] of page.matchAll(/\b(throughline|messaging)_[a-z_]+/g))
      expect(known).toContain(name.replace(/_(total|count|bucket|sum)$/, ''));
  },
);

it('the objectives are the ones of the code', () => {
  expect(read('objectives.rules.yml'), 'run `node scripts/objectives.ts`').toBe(rulesFile(OBJECTIVES));
});

it('no rule file is left out of the configuration', () => {
  const named = [...read('prometheus.yml').matchAll(/- (\S+\.rules\.yml)/g)].map(([, name]) => name);
  expect(named).toEqual(readdirSync(FOLDER).filter((name) => basename(name).endsWith('.rules.yml')));
});
