import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { profile, sample } from '../../insight/fixtures/profiles.ts';
import { readConfig } from '../../shared/config.ts';
import { encodeProfile } from '../../shared/profile/pprof.ts';
import { cleanEnvironment } from '../support/child-process.ts';

const { searchPath, ci } = readConfig();
const go = searchPath
  .split(delimiter)
  .map((folder) => join(folder, 'go'))
  .find((path) => existsSync(path));

/** In CI it has to be there: a skipped test would pass for ever. */
test.skipIf(go === undefined && !ci)(
  'other viewers open a profile: Go’s pprof (not run where Go is not on the path)',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'throughline-pprof-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'one.pb.gz');
    const samples = [
      sample(['parse'], 300, { span: 'POST /orders' }),
      sample(['redeem'], 100, { span: 'step redeem-card', step: 'redeem-card' }),
    ];
    await writeFile(file, await encodeProfile(profile(samples)));
    const ask = async (...args: string[]) => {
      // Go builds the tool the first time, and keeps it where it keeps what it has built.
      const env = cleanEnvironment({ GOTOOLCHAIN: 'local' });
      return (await promisify(execFile)(go ?? 'go', ['tool', 'pprof', ...args, file], { env })).stdout;
    };
    const top = await ask('-top');
    expect(top).toContain('Type: cpu');
    expect(top).toMatch(/Duration: 30s, Total samples = 400ms/);
    expect(top).toMatch(/300ms 75\.00% +75\.00% +300ms 75\.00% +parse/);
    expect(await ask('-tags')).toMatch(/redeem-card/);
    expect(await ask('-top', '-tagfocus', 'step=redeem-card')).toMatch(/100ms +25\.00%.*redeem/);
  },
  240_000,
);
