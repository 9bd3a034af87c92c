import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cleanEnvironment, endWithTest, ROOT } from '../support/child-process.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { createAdminClient, TOKEN } from './admin-process.ts';

test('npm start serves the admin API when it has a token', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const folder = await mkdtemp(join(tmpdir(), 'throughline-admin-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const system = spawn(process.execPath, [join(ROOT, 'scripts/start.ts')], {
    cwd: folder,
    env: cleanEnvironment({
      DATABASE_URL: db.url,
      ...{ PORT: '0', LOG_LEVEL: 'fatal', THROUGHLINE_ADMIN_PORT: '0', THROUGHLINE_ADMIN_TOKEN: TOKEN },
    }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTest(system);
  let said = '';
  for await (const chunk of system.stdout) {
    said += String(chunk);
    if (said.includes('Ctrl-C')) break;
  }
  const [, url = ''] = /^Operators over HTTP: (\S+)\/admin$/m.exec(said) ?? [];
  const client = await createAdminClient(url);
  expect(((await client.get('/admin/orders')).body as { orders: unknown[] }).orders).toBeInstanceOf(Array);
  const ended = once(system, 'exit');
  system.kill('SIGINT');
  expect((await ended)[0]).toBe(130);
}, 180_000);
