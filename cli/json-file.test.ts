import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findJsonFault, readJsonFile } from './json-file.ts';

async function file(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'throughline-json-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'given.json');
  await writeFile(path, text);
  return path;
}

describe('readJsonFile', () => {
  it('reads JSON, with a byte order mark too', async () => {
    expect(await readJsonFile(await file('\uFEFF{"id": "a"}\n'))).toEqual({ id: 'a' });
  });

  it.each([
    ['{\n  "id": "a",\n  "channel" "email"\n}', 'line 3, column 13: expected ":"'],
    ['{\r\n  "id": "a"\r\n  "channel": "email"\r\n}', 'line 3, column 3: expected "," or "}"'],
    ['{ "segments": ["a", ] }', 'line 1, column 21: expected a value'],
    ['{ "id": "a", }', 'line 1, column 14: expected a name in double quotes'],
    ["{ 'id': 1 }", 'line 1, column 3: expected a name in double quotes or "}"'],
    ['{ "id": "a"', 'line 1, column 12: expected "," or "}"'],
    ['{ "ü😀": nothing }', 'line 1, column 9: expected a value'],
    ['{} {}', 'line 1, column 4: expected the end of the file'],
    ['[1 2]', 'line 1, column 4: expected "," or "]"'],
    ['  \n', 'expected JSON, and there is nothing'],
  ])('says where %j is wrong', async (text, where) => {
    const path = await file(text);
    await expect(readJsonFile(path)).rejects.toMatchObject({ code: 'USAGE', message: `${path}: ${where}` });
  });

  it('says that there is no such file', async () => {
    await expect(readJsonFile('/nowhere/at-all.json')).rejects.toThrow(
      '/nowhere/at-all.json: there is no such file',
    );
  });
});

describe('findJsonFault', () => {
  it('is of the same opinion as JSON.parse, whatever is done to a text', () => {
    const damaged = fc.tuple(fc.json(), fc.nat(), fc.nat(3), fc.string({ maxLength: 2 }));
    fc.assert(
      fc.property(damaged, ([json, at, cut, put]) => {
        const from = at % (json.length + 1);
        const text = json.slice(0, from) + put + json.slice(from + cut);
        expect(findJsonFault(text) === undefined).toBe(isJson(text));
      }),
      { numRuns: 2_000 },
    );
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
