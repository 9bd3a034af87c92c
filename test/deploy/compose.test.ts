import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SETTING_NAMES } from '../../shared/config.ts';
import { DRAIN_TIMEOUT_MS } from '../../subscriber/worker.ts';
import { cleanEnvironment, ROOT } from '../support/child-process.ts';
import { COMPOSE_FILE, type ComposeService, readCompose } from '../support/compose.ts';
import { readDockerfile } from '../support/dockerfile.ts';
import { findProgram, MAY_BE_MISSING, WHY_SKIPPED } from '../support/prometheus.ts';

const run = promisify(execFile);
const { services, volumes } = readCompose();
const all = Object.entries(services);
const ours = all.filter(([, { image }]) => image.startsWith('throughline'));
const FOLDER = dirname(COMPOSE_FILE);
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');

/** Where others' images listen, by their own documentation. Ours are asked in image.test.ts. */
const LISTENING: Readonly<Record<string, number>> = { jaeger: 16_686, prometheus: 9_090, grafana: 3_000 };

/** `./prometheus` of a mount; undefined for a named volume. */
const mountedPath = (volume: string) => (volume.startsWith('.') ? volume.split(':')[0] : undefined);
const gibibytes = (text: string) => Number.parseInt(text, 10) / (text.endsWith('G') ? 1 : 1_024);
const seconds = (text: string) => Number(/^(\d+)s$/.exec(text)?.[1]);

describe.each(all)('%s', (_name, service: ComposeService) => {
  it('has an image that cannot change under it', () => {
    expect(service.image).toMatch(/:(v?\d+\.\d+[\w.-]*|local)$/);
  });

  it('is limited in CPU and memory', () => {
    const { cpus, memory } = service.deploy?.resources?.limits ?? {};
    expect(Number(cpus)).toBeGreaterThan(0);
    expect(memory).toMatch(/^\d+[MG]$/);
  });

  it('publishes on loopback alone', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('waits only for what there is, and in a way that this can satisfy', () => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const other = services[name];
      expect(other).toBeDefined();
      if (condition === 'service_healthy') expect(other?.healthcheck).toBeDefined();
      if (condition === 'service_completed_successfully') expect(other?.restart).toBeUndefined();
    }
  });

  it('uses only volumes that are declared', () => {
    for (const volume of service.volumes ?? [])
      if (mountedPath(volume) === undefined) expect(Object.keys(volumes)).toContain(volume.split(':')[0]);
  });
});

const mounts = all.flatMap(([, own]) => (own.volumes ?? []).flatMap((volume) => mountedPath(volume) ?? []));
it.each(mounts)(
  'mounts %s, which is there (not asked for grafana/ where dashboards are not built)',
  (path) => {
    if (path.startsWith('./grafana/') && !existsSync(join(FOLDER, 'grafana'))) return;
    expect(existsSync(join(FOLDER, path))).toBe(true);
  },
);

describe.each(ours)('%s, of ours', (_name, service: ComposeService) => {
  it('is built from the Dockerfile, and runs with no more rights than it needs', () => {
    const { context = '', dockerfile = '' } = service.build ?? {};
    expect(existsSync(join(FOLDER, context, dockerfile))).toBe(true);
    expect(service).toMatchObject({
      ...{ init: true, read_only: true, cap_drop: ['ALL'] },
      security_opt: ['no-new-privileges:true'],
    });
  });

  it('is given settings that it knows', () => {
    for (const name of Object.keys(service.environment ?? {})) expect(SETTING_NAMES).toContain(name);
  });

  it('has longer to stop than its handlers may go on', () => {
    const { stop_grace_period: grace } = service;
    if (grace !== undefined) expect(seconds(grace) * 1_000).toBeGreaterThan(DRAIN_TIMEOUT_MS);
  });
});

it('leaves no process with handlers without a grace time', () => {
  const processes = ours.filter(([, { command }]) => command?.[1]?.startsWith('dist/orders/'));
  expect(processes.map(([name]) => name).toSorted()).toEqual(['order-service', 'relay', 'worker']);
  for (const [, service] of processes) expect(service.stop_grace_period).toBeDefined();
  expect(services['worker']?.deploy?.replicas).toBe(2);
});

it('publishes ports on which something listens', () => {
  for (const [name, { ports = [] }] of all) {
    const listening = LISTENING[name] ?? Number(services[name]?.environment?.['PORT']);
    for (const port of ports) expect(port.split(':').slice(1)).toEqual([`${listening}`, `${listening}`]);
  }
});

it('gives the collector more memory than its own limit, and the settings that its configuration reads', () => {
  const config = read('deploy/collector/collector.yaml');
  const limit = Number(/limit_mib: ([\d_]+)/.exec(config)?.[1]?.replaceAll('_', ''));
  const { deploy, environment } = services['collector'] ?? {};
  expect(gibibytes(deploy?.resources?.limits?.memory ?? '') * 1_024).toBeGreaterThan(limit);
  for (const name of Object.keys(environment ?? {})) expect(config).toContain(`\${env:${name}`);
  for (const [, name = ''] of config.matchAll(/\$\{env:(\w+)\}/g)) expect(environment).toHaveProperty(name);
});

it('scrapes services that are there, on the port that they serve metrics on', () => {
  const config = read('deploy/prometheus/prometheus.compose.yml');
  const targets = [...config.matchAll(/names: \[(.+?)\], type: A, port: (\d+)/g)];
  expect(targets).toHaveLength(3);
  for (const [, name = '', port] of targets)
    expect(services[name]?.environment?.['OTEL_EXPORTER_PROMETHEUS_PORT']).toBe(port);
  const named = (text: string, what: RegExp) => [...text.matchAll(what)].map(([, found]) => found);
  const onOneMachine = read('deploy/prometheus/prometheus.yml');
  for (const what of [/- (\S+\.rules\.yml)/g, /job_name: (\S+)/g])
    expect(named(config, what)).toEqual(named(onOneMachine, what));
});

it('sends no metrics where they are scraped as well', () => {
  for (const [, { environment = {} }] of ours)
    if (environment['OTEL_EXPORTER_PROMETHEUS_PORT'] !== undefined)
      expect(environment['OTEL_METRICS_EXPORTER']).toBe('none');
});

/** The program itself, which CI builds; a plugin of docker's is found through docker. */
const composeProgram = findProgram('docker-compose');
const askCompose: readonly [string, ...string[]] = composeProgram ? [composeProgram] : ['docker', 'compose'];
const [program, ...first] = askCompose;
const hasCompose = await run(program, [...first, 'version']).then(
  () => true,
  () => false,
);
it.skipIf(MAY_BE_MISSING && !hasCompose)(
  'docker compose reads it, and names what has to be set (not run where there is no docker compose; a daemon is not needed)',
  async () => {
    const config = [...first, '--file', COMPOSE_FILE, 'config', '--format', 'json'];
    const env = { ...cleanEnvironment(), POSTGRES_PASSWORD: 'only4tests' };
    await expect(run(program, config, { env })).rejects.toThrow(/THROUGHLINE_SIGNING_SECRET/);
    const { stdout } = await run(program, config, {
      env: { ...env, THROUGHLINE_SIGNING_SECRET: 'only for tests, only for tests, only' },
    });
    const read = JSON.parse(stdout) as { services: Record<string, ComposeService> };
    const commands = (from: Readonly<Record<string, ComposeService>>) =>
      Object.fromEntries(Object.entries(from).map(([name, { command }]) => [name, command ?? null]));
    expect(commands(read.services)).toEqual(commands(services));
  },
);

const promtool = findProgram('promtool');
it.skipIf(MAY_BE_MISSING && !promtool)(
  `promtool finds its configuration of Prometheus valid (not run when ${WHY_SKIPPED})`,
  async () => {
    await run(promtool ?? '', ['check', 'config', join(FOLDER, 'prometheus/prometheus.compose.yml')]);
  },
);

it('the image has the Node that everything is tested on, in every stage', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
  for (const { image } of readDockerfile(join(FOLDER, 'Dockerfile')))
    expect(image).toBe(`node:${devDependencies.node}-bookworm-slim`);
});
