import { execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import { readConfig } from '../../shared/config.ts';
import { freePort } from '../../shared/free-port.ts';
import { ROOT } from './child-process.ts';

const run = promisify(execFile);

/** Where a program is (Prometheus' are in Debian's package `prometheus`); undefined: nowhere on the path. */
export function findProgram(
  name: 'promtool' | 'prometheus' | 'terraform' | 'docker-compose' | 'unshare' | 'setpriv',
): string | undefined {
  return readConfig()
    .searchPath.split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** In CI it has to be there: a skipped test would pass for ever. */
export const MAY_BE_MISSING = !readConfig().ci;
export const WHY_SKIPPED = "Debian's package prometheus is not installed";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A series as it was over time: from `sinceMs` on, `value(minute)` at each minute. */
export interface PastSeries {
  readonly series: string;
  readonly value: (minute: number) => number;
}

/** A real Prometheus that remembers these series; ends with the test. Shape: its address. */
export async function startPrometheus(past: readonly PastSeries[], hours: number): Promise<string> {
  const folder = await temporaryFolder();
  const data = join(folder, 'data');
  await mkdir(data);
  const [history, config] = [join(folder, 'history.txt'), join(folder, 'prometheus.yml')];
  await writeFile(history, openMetrics(past, hours));
  await writeFile(config, 'global: {}\n');
  await run(findProgram('promtool') ?? '', [
    ...['tsdb', 'create-blocks-from', 'openmetrics', history, data],
    '--quiet',
  ]);
  return serve(config, data);
}

/**
 * A real Prometheus with the configuration and the rules of deploy/prometheus/, once a second in place of every 15; ends with
 * the test. Shape: its address.
 *
 * `urls`: where the processes' metrics are, by the job's name. Those that the configuration does not name are added to it.
 */
export async function startScraping(urls: Readonly<Record<string, string>>): Promise<string> {
  const folder = await temporaryFolder();
  const own = await readFile(join(DEPLOYED, 'prometheus.yml'), 'utf8');
  const [settings = '', ...jobs] = own.replaceAll(/\b15s\b/g, '1s').split(/^(?= {2}- job_name: )/m);
  for (const [, rules = ''] of settings.matchAll(/- (\S+\.rules\.yml)/g))
    await copyFile(join(DEPLOYED, rules), join(folder, rules));
  const named = jobs.map((job) => /job_name: (\S+)/.exec(job)?.[1]);
  expect(Object.keys(urls)).toEqual(expect.arrayContaining(named));
  const targets = Object.entries(urls).map(
    ([job, url]) => `  - job_name: ${job}\n    static_configs: [{ targets: ["${new URL(url).host}"] }]\n`,
  );
  const config = join(folder, 'prometheus.yml');
  await writeFile(config, [settings, ...targets].join(''));
  return serve(config, join(folder, 'data'));
}

const DEPLOYED = join(ROOT, 'deploy/prometheus');

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'throughline-prometheus-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function serve(config: string, data: string): Promise<string> {
  const port = await freePort();
  const server = spawn(
    findProgram('prometheus') ?? '',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const ended = new Promise<void>((resolve) => server.once('close', () => resolve()));
  onTestFinished(async () => {
    server.kill('SIGKILL');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  await expect
    .poll(
      () =>
        fetch(`${url}/-/ready`).then(
          ({ status }) => status,
          () => 0,
        ),
      { timeout: 20_000 },
    )
    .toBe(200);
  return url;
}

/** Minutes up to now, the oldest first; each series in one piece, as the format asks. */
function openMetrics(past: readonly PastSeries[], hours: number): string {
  const minutes = hours * 60;
  const endSeconds = Math.floor(Date.now() / 1_000);
  const lines = past.flatMap(({ series, value }) =>
    Array.from(
      { length: minutes + 1 },
      (_, minute) => `${series} ${value(minute)} ${endSeconds - (minutes - minute) * 60}`,
    ),
  );
  const names = new Set(past.map(({ series }) => series.split('{')[0]));
  const blocks = [...names].map((name) =>
    [
      `# TYPE ${String(name).replace(/_total$/, '')} ${name?.endsWith('_total') ? 'counter' : 'unknown'}`,
      ...lines.filter((line) => line.startsWith(`${name}{`)),
    ].join('\n'),
  );
  return `${blocks.join('\n')}\n# EOF\n`;
}
