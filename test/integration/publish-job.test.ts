import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Emulator, startEmulator } from '../../emulator/index.ts';
import { topology } from '../../orders/contract.ts';
import { applyTopology, connect } from '../../shared/index.ts';
import { runToEnd } from '../support/child-process.ts';
import { PATIENCE_MS } from '../support/patience.ts';

const PROJECT = 'command-line';
const NOTIFICATION = { orderKey: 'O-1', email: 'owner@shop.example', template: 'order-confirmed' };
const payload = ['--payload', JSON.stringify(NOTIFICATION)];

let emulator: Emulator;
beforeAll(async () => {
  emulator = await startEmulator();
});
afterAll(() => emulator.close());

const publish = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runToEnd(process.execPath, ['scripts/publish.ts', ...args], { env, timeoutMs: PATIENCE_MS });

const onEmulator = () => ({ PUBSUB_EMULATOR_HOST: emulator.host, GOOGLE_CLOUD_PROJECT: PROJECT });

describe('npm run publish', () => {
  test('without arguments prints help and exits with 0, as after `npm publish`', async () => {
    const { exitCode, stdout, stderr } = await runToEnd('npm', ['run', '--silent', 'publish']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: npm run publish -- /);
    for (const command of ['demo', 'job']) expect(stdout).toMatch(new RegExp(`^ +${command} `, 'm'));
  });

  test('publishes a job, says where it went, and the message is there with its trace', async () => {
    const connection = await connect({ projectId: PROJECT, emulatorHost: emulator.host });
    await applyTopology(connection, topology);
    const args = ['job', 'notification.send', ...payload, '--order-key', 'O-1', '--job-id', 'mail-1'];
    const { exitCode, stdout, stderr } = await publish(args, onEmulator());
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^published notification\.send\.v1 to workspace-jobs: job mail-1, message \S+\n$/);
    const subscription = `projects/${PROJECT}/subscriptions/workspace-jobs-worker`;
    const [{ receivedMessages }] = await connection.subscriber.pull({ subscription, maxMessages: 10 });
    expect(receivedMessages).toHaveLength(1);
    const message = receivedMessages?.[0]?.message;
    expect(JSON.parse(Buffer.from(message?.data ?? '').toString())).toEqual(NOTIFICATION);
    expect(message?.attributes).toMatchObject({
      'ce-id': 'mail-1',
      'ce-type': 'notification.send.v1',
      'ce-subject': 'O-1',
      'ce-source': 'publish-job',
      baggage: 'order.event_id=O-1',
      traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
    });
    await connection.close();
  });

  test('with --json says the same to programs', async () => {
    const connection = await connect({ projectId: 'json', emulatorHost: emulator.host });
    await applyTopology(connection, topology);
    await connection.close();
    const env = { ...onEmulator(), GOOGLE_CLOUD_PROJECT: 'json' };
    const { exitCode, stdout } = await publish(['job', 'notification.send', ...payload, '--json'], env);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      job: 'notification.send.v1',
      topic: 'workspace-jobs',
      jobId: expect.any(String),
      messageId: expect.any(String),
    });
  });

  const send = ['job', 'notification.send'];
  test.each([
    {
      mistake: 'an unknown job',
      args: ['job', 'coffee.make', ...payload],
      answer: /^no job "coffee\.make"; there are workspace\.set-up \(version 1\), .*notification\.send/,
    },
    {
      mistake: 'a version that is not there',
      args: [...send, ...payload, '--version', '7'],
      answer: /^no job "notification\.send" of version 7; there are /,
    },
    {
      mistake: 'a payload that is not JSON',
      args: [...send, '--payload', '{oops'],
      answer: /^--payload: expected JSON: /,
    },
    { mistake: 'no payload', args: send, answer: /^error: required option '--payload <json>' not specified/ },
    {
      mistake: 'a payload that does not fit the schema',
      args: [...send, '--payload', '{"orderKey":"O-1","email":"nobody","template":"order-lost"}'],
      answer: /^payload of notification\.send\.v1: email: .*; template: /,
    },
    {
      mistake: 'an emulator that does not listen',
      args: [...send, ...payload],
      env: async () => ({ PUBSUB_EMULATOR_HOST: `127.0.0.1:${await unusedPort()}` }),
      answer: /^nothing listens on 127\.0\.0\.1:\d+ \(PUBSUB_EMULATOR_HOST\); start one with /,
    },
    {
      mistake: 'a topic that is not there',
      args: [...send, ...payload],
      env: async () => ({ ...onEmulator(), GOOGLE_CLOUD_PROJECT: 'empty' }),
      answer: /^Pub\/Sub: 5 NOT_FOUND: .*workspace-jobs/,
    },
    {
      mistake: 'an emulator host that is none',
      args: [...send, ...payload],
      env: async () => ({ PUBSUB_EMULATOR_HOST: 'here' }),
      answer: /PUBSUB_EMULATOR_HOST: expected host:port/,
    },
    {
      mistake: 'no project',
      args: [...send, ...payload],
      env: async () => ({}),
      answer: /^no Google Cloud project: set GOOGLE_CLOUD_PROJECT, or PUBSUB_EMULATOR_HOST /,
    },
    {
      mistake: 'no credentials',
      args: [...send, ...payload],
      env: async () => ({ GOOGLE_CLOUD_PROJECT: 'real-one' }),
      answer: /^no credentials for Google Cloud: run "gcloud auth application-default login"/,
    },
  ])('answers $mistake clearly, without a stack trace', async ({ args, env, answer }) => {
    const { exitCode, stdout, stderr } = await publish(args, env ? await env() : onEmulator());
    expect({ exitCode, stdout }, stderr).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(answer);
    expect(stderr).not.toMatch(/^ +at |node_modules/m);
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
  });
});

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
