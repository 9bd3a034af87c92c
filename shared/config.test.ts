import { describe, expect, test } from 'vitest';
import { ConfigError, readConfig, secretsOf } from './config.ts';

function problemsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('an empty environment gives the defaults', () => {
  expect(readConfig({})).toMatchObject({
    projectId: undefined,
    pubsubEmulatorHost: undefined,
    otlpEndpoint: undefined,
    logLevel: 'info',
    host: '127.0.0.1',
    ackDeadlineMs: 30_000,
    pushesMetrics: true,
    resendAfterMs: 120_000,
    drainMs: 25_000,
    spanDelayMs: 1_000,
    searchPath: '',
    noColor: false,
    ci: false,
  });
});

test('an empty variable counts as unset', () => {
  const env = { PUBSUB_EMULATOR_HOST: '', LOG_LEVEL: '', NO_COLOR: '', CI: '', GOOGLE_CLOUD_PROJECT: '' };
  expect(readConfig(env)).toEqual(readConfig({}));
});

test('the project is told, in this order, by two variables, or made up for an emulator', () => {
  const emulator = { PUBSUB_EMULATOR_HOST: '127.0.0.1:8085' };
  const both = { GOOGLE_CLOUD_PROJECT: 'a', PUBSUB_PROJECT_ID: 'b', ...emulator };
  expect(readConfig(both).projectId).toBe('a');
  expect(readConfig({ ...both, GOOGLE_CLOUD_PROJECT: '' }).projectId).toBe('b');
  expect(readConfig(emulator).projectId).toBe('throughline-local');
});

test("lines are Google Cloud's where a project is named and Pub/Sub is real, unless told otherwise", () => {
  const named = { GOOGLE_CLOUD_PROJECT: 'shop' };
  const emulated = { ...named, PUBSUB_EMULATOR_HOST: '127.0.0.1:8085' };
  const formatOf = (env: NodeJS.ProcessEnv) => readConfig(env).logFormat;
  expect([{}, named, emulated].map(formatOf)).toEqual(['plain', 'google', 'plain']);
  expect(formatOf({ ...named, THROUGHLINE_LOG_FORMAT: 'plain' })).toBe('plain');
  expect(formatOf({ ...emulated, THROUGHLINE_LOG_FORMAT: 'google' })).toBe('google');
  expect(problemsOf({ THROUGHLINE_LOG_FORMAT: 'gcp' })).toEqual([
    expect.stringMatching(/^THROUGHLINE_LOG_FORMAT: /),
  ]);
});

test('tells which of its values are secrets, passwords in addresses as they are meant', () => {
  const [signing, token] = ['s'.repeat(32), 't'.repeat(32)];
  const config = readConfig({
    THROUGHLINE_SIGNING_SECRET: signing,
    THROUGHLINE_ADMIN_TOKEN: token,
    DATABASE_URL: 'postgresql://user:p%40ss%2Fword@db/shop',
    PARTNERS_URL: 'http://user:100%@partners',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
  });
  expect(secretsOf(config)).toEqual([signing, token, 'p@ss/word', '100%']);
  expect(secretsOf(readConfig({}))).toEqual([]);
});

test('every wrong setting is told in one message', () => {
  const env = {
    PUBSUB_EMULATOR_HOST: 'http://localhost',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318',
    LOG_LEVEL: 'loud',
    THROUGHLINE_ACK_DEADLINE_MS: 'soon',
    OTEL_BSP_SCHEDULE_DELAY: '0',
    PARTNERS_URL: 'ftp://partners',
  };
  const problems = problemsOf(env);
  expect(problems.map((problem) => problem.split(':')[0]).toSorted()).toEqual(Object.keys(env).toSorted());
  expect(new ConfigError(problems).message.split('\n')).toHaveLength(7);
  expect(problems.join()).toContain('expected host:port');
});

describe('refuses', () => {
  test.each([
    ['an ack deadline that is too short for Pub/Sub', { THROUGHLINE_ACK_DEADLINE_MS: '9999' }],
    ['one that is too long', { THROUGHLINE_ACK_DEADLINE_MS: '600001' }],
    ['one that is no whole number', { THROUGHLINE_ACK_DEADLINE_MS: '10000.5' }],
    ['one of blanks', { THROUGHLINE_ACK_DEADLINE_MS: ' ' }],
    ['an emulator without a port', { PUBSUB_EMULATOR_HOST: 'localhost' }],
    ['an emulator with a path', { PUBSUB_EMULATOR_HOST: 'localhost:8085/v1' }],
    ['a script as an address', { PARTNERS_URL: 'javascript:alert(1)' }],
  ])('%s', (_what, env) => {
    expect(problemsOf(env)).toHaveLength(1);
  });
});

test('metrics are sent along with the spans, or not', () => {
  const pushes = (exporter?: string) =>
    readConfig({ OTEL_METRICS_EXPORTER: exporter } as NodeJS.ProcessEnv).pushesMetrics;
  expect([pushes(), pushes('otlp'), pushes('none')]).toEqual([true, true, false]);
  expect(() => pushes('console')).toThrow(ConfigError);
});

test.each([
  [{}, 1],
  [{ OTEL_TRACES_SAMPLER: 'always_on', OTEL_TRACES_SAMPLER_ARG: '0.5' }, 1],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, 0],
  [{ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.05' }, 0.05],
  [{ OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' }, 1],
])('the share of orders that is kept by %j is %d', (env, share) => {
  expect(readConfig(env as NodeJS.ProcessEnv).keptShare).toBe(share);
});

test('a sampler or a share that is none is refused', () => {
  const env = { OTEL_TRACES_SAMPLER: 'sometimes', OTEL_TRACES_SAMPLER_ARG: '5', THROUGHLINE_SLOW_MS: '0' };
  expect(problemsOf(env).map((problem) => problem.split(':')[0])).toEqual(Object.keys(env));
});
