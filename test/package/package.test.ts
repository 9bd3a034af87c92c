import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const PARTS = ['publisher', 'subscriber', 'shared', 'emulator', 'testing'];

/** A job published and handled through the packed library, and its trace checked: what a user would write first. */
const PROGRAM = `
import { startEmulator } from 'throughline/emulator';
import { createPublisher } from 'throughline/publisher';
import { applyTopology, connect, createBatchSink, createStreamingPullSource, defineJob, done, jobTopology, startTelemetry } from 'throughline/shared';
import { createWorker } from 'throughline/subscriber';
import { assertConnected, createSpanCollector } from 'throughline/testing';
import { z } from 'zod';

const emulator = await startEmulator();
const collector = createSpanCollector();
const telemetry = startTelemetry({ serviceName: 'shop', exporters: [collector], batch: { scheduledDelayMs: 10 } });
const connection = await connect({ projectId: 'shop', emulatorHost: emulator.host });
await applyTopology(connection, jobTopology({ topic: 'mails' }));
const welcome = defineJob({ name: 'mail.welcome', version: 1, topic: 'mails', payload: z.object({ to: z.email() }) });
const sink = createBatchSink(connection);
const source = createStreamingPullSource(connection, { subscription: 'mails-worker' });
const worker = createWorker({ source, sink, topic: 'mails', deadLetterTopic: 'mails-dead-letters' });
worker.handle(welcome, async ({ payload }) => {
  console.log('welcome', payload.to.toUpperCase());
  return done();
});
await worker.start();
const publisher = createPublisher({ sink, source: 'shop' });
await publisher.publish(welcome, { to: 'ada@shop.example' }, { orderKey: 'O-1' });
await collector.waitFor((spans) => spans.length >= 2, { timeoutMs: 10_000 });
assertConnected(collector.spans, 'O-1');
console.log(collector.tree());
await worker.stop();
await connection.close();
await telemetry.shutdown();
await emulator.close();
`;

describe('the packed package in an empty project', () => {
  let project: string;

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'throughline-package-'));
    await run('npm', ['pack', '--pack-destination', project], { cwd: REPOSITORY });
    const [tarball = ''] = (await readdir(project)).filter((file) => file.endsWith('.tgz'));
    await writeFile(
      join(project, 'package.json'),
      JSON.stringify({ name: 'shop', private: true, type: 'module' }),
    );
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`, 'zod@4'];
    await run('npm', install, { cwd: project });
  }, 240_000);

  afterAll(() => rm(project, { recursive: true, force: true }));

  it('runs from plain JavaScript', async () => {
    await writeFile(join(project, 'main.js'), PROGRAM);
    const { stdout } = await run(process.execPath, ['main.js'], { cwd: project });
    expect(stdout).toContain('welcome ADA@SHOP.EXAMPLE');
    expect(stdout).toMatch(/send mails.*\n\s+process mails/);
  });

  it('type-checks from TypeScript, and a wrong payload does not', async () => {
    const compiler = join(
      dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))),
      'bin',
      'tsc',
    );
    const types = join(REPOSITORY, 'node_modules', '@types');
    await symlink(types, join(project, 'node_modules', '@types')).catch(() => {});
    const check = (file: string) =>
      run(
        process.execPath,
        [
          compiler,
          '--noEmit',
          '--strict',
          '--skipLibCheck',
          '--module',
          'nodenext',
          '--target',
          'es2024',
          '--types',
          'node',
          file,
        ],
        { cwd: project },
      );
    await writeFile(join(project, 'right.ts'), PROGRAM);
    await check('right.ts');
    await writeFile(join(project, 'wrong.ts'), PROGRAM.replace("{ to: 'ada@shop.example' }", '{ to: 7 }'));
    await expect(check('wrong.ts')).rejects.toMatchObject({
      stdout: expect.stringContaining("'number' is not assignable"),
    });
  });

  it('exports the five parts and nothing else', async () => {
    const script = PARTS.map((part) => `await import('throughline/${part}');`).join('\n');
    await writeFile(join(project, 'parts.js'), script);
    await run(process.execPath, ['parts.js'], { cwd: project });
    await writeFile(join(project, 'inner.js'), "await import('throughline/shared/config.js');");
    await expect(run(process.execPath, ['inner.js'], { cwd: project })).rejects.toMatchObject({
      stderr: expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED'),
    });
  });
});
