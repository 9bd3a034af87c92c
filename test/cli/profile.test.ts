import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { profile, sample } from '../../insight/fixtures/profiles.ts';
import { freePort } from '../../shared/free-port.ts';
import { createLogger } from '../../shared/index.ts';
import { readComments } from '../../shared/profile/comments.ts';
import { decodeProfile, encodeProfile } from '../../shared/profile/pprof.ts';
import { createProfileRoute, PROFILE_PATH, type ProfileRequest } from '../../shared/profile/route.ts';
import { startScrapeServer } from '../../shared/trace/scrape-server.ts';
import { TOKEN } from '../admin/admin-process.ts';
import { complaint, throughline } from './throughline.ts';

let folder: string;
let [before, after, heap] = ['', '', ''];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'throughline-profile-'));
  [before, after, heap] = ['before', 'after', 'heap'].map((name) => join(folder, `${name}.pb.gz`)) as [
    string,
    string,
    string,
  ];
  const labels = { span: 'step redeem-card', step: 'redeem-card' };
  const taken = (redeemMs: number, ended: number) =>
    profile(
      [sample(['place'], 3 * ended, { span: 'POST /orders' }), sample(['redeem'], redeemMs * ended, labels)],
      [
        { span: 'POST /orders', ended },
        { ...labels, ended },
      ],
    );
  await writeFile(before, await encodeProfile(taken(1, 100)));
  await writeFile(after, await encodeProfile(taken(2, 300)));
  const space = {
    ...taken(1, 100),
    valueTypes: [
      { type: 'n', unit: 'count' },
      { type: 'inuse_space', unit: 'bytes' },
    ],
  };
  await writeFile(heap, await encodeProfile(space));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('throughline profile', { timeout: 60_000 }, () => {
  it('has a running process take one, and writes it', async () => {
    const asked: ProfileRequest[] = [];
    const route = createProfileRoute({
      service: 'shop/1',
      token: TOKEN,
      logger: createLogger({ serviceName: 'test', level: 'silent' }),
      onStarted: async (request) => void asked.push(request),
    });
    const server = await startScrapeServer({ port: 0, routes: { [PROFILE_PATH]: route } }, () => {});
    onTestFinished(() => server.close());
    const file = join(folder, 'taken.pb.gz');
    const options = [
      '--url',
      server.url,
      '--seconds',
      '0.2',
      '--output',
      file,
      '--release',
      'v7',
      '--actor',
      'ada',
    ];
    const { exitCode, stdout, stderr } = await throughline(['profile', ...options], {
      THROUGHLINE_ADMIN_TOKEN: TOKEN,
    });
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/taken\.pb\.gz: \d+ bytes\n/);
    expect(asked).toEqual([{ kind: 'cpu', seconds: 0.2, release: 'v7', actor: 'ada' }]);
    const { comments } = decodeProfile(await readFile(file));
    expect(readComments(comments).facts).toMatchObject({ service: 'shop/1', release: 'v7' });
    const refused = await throughline(['profile', ...options], { THROUGHLINE_ADMIN_TOKEN: `${TOKEN}x` });
    expect([refused.exitCode, complaint(refused)]).toEqual([
      1,
      'the process refused (401): the token is not the right one',
    ]);
  });

  it('says that nobody is there', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const ended = await throughline(['profile', '--url', url], { THROUGHLINE_ADMIN_TOKEN: TOKEN });
    expect([ended.exitCode, complaint(ended)]).toEqual([
      1,
      `no answer from ${url}/admin/profile: ECONNREFUSED`,
    ]);
  });

  it('shows what took most', async () => {
    const { stdout } = await throughline(['profile', 'show', before]);
    expect(stdout).toContain(
      '400 ms (cpu), of shop v1, Node v24.0.0, from 2026-11-26T00:00:00.000Z for 30.0 s',
    );
    expect(stdout).toMatch(/^300 ms +75\.0 % +300 ms +75\.0 % +place a\.ts$/m);
    expect(stdout).toMatch(/^100 ms +25\.0 % +100 +1\.00 ms +redeem-card$/m);
    expect(stdout).not.toContain('JOB');
    const { stdout: json } = await throughline(['profile', 'show', before, '--by', 'step', '--json']);
    expect(JSON.parse(json)).toMatchObject({
      ...{ type: 'cpu', unit: 'nanoseconds', whole: 400_000_000 },
      step: [
        { name: '(none)', ended: null },
        { name: 'redeem-card', ended: 100 },
      ],
    });
  });

  it('compares two under different load, and draws the difference', async () => {
    const page = join(folder, 'diff.html');
    const { stdout } = await throughline(['profile', 'diff', before, after, '--flame', page]);
    expect(stdout).toMatch(/^25\.0 % +40\.0 % +\+15\.0 +1\.00 ms +2\.00 ms +2\.00 +step redeem-card$/m);
    expect(stdout).toMatch(/^75\.0 % +60\.0 % +-15\.0 +3\.00 ms +3\.00 ms +1\.00 +POST \/orders$/m);
    expect(await readFile(page, 'utf8')).toContain('<title>before.pb.gz → after.pb.gz</title>');
    const per = ['--by', 'function', '--per', 'POST /orders', '--json'];
    const { stdout: json } = await throughline(['profile', 'diff', before, after, ...per]);
    const ratios = JSON.parse(json).function.map((row: { name: string; perUnitRatio: number }) => [
      row.name,
      row.perUnitRatio,
    ]);
    expect(Object.fromEntries(ratios)).toMatchObject({ 'redeem a.ts': 2, 'place a.ts': 1 });
  });

  it('refuses to compare what measures different things', async () => {
    const ended = await throughline(['profile', 'diff', before, heap]);
    expect([ended.exitCode, complaint(ended)]).toEqual([
      2,
      'profile diff: the first profile measures cpu in nanoseconds, the second inuse_space in bytes',
    ]);
  });

  it('draws a flame graph that asks for nothing', async () => {
    const page = join(folder, 'flame.html');
    const { exitCode } = await throughline(['profile', 'flame', before, '--output', page]);
    const html = await readFile(page, 'utf8');
    expect([exitCode, html.match(/https?:|src=|href=/g)]).toEqual([0, null]);
    expect(html).toContain('"span":"step redeem-card"');
  });
});
