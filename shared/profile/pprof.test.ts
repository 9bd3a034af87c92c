import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it, test } from 'vitest';
import { NotAProfileError } from './errors.ts';
import { decodeProfile, encodeProfile, type Profile } from './pprof.ts';
import { ProfileMessage } from './pprof-schema.ts';
import { relativeFile } from './relative-file.ts';
import { shareHeap } from './share-heap.ts';

const main = { name: 'main', file: 'main.ts', line: 1 };
const parse = { name: 'parse', file: 'node_modules/json/parse.js', line: 40 };

const profile: Profile = {
  valueTypes: [
    { type: 'sample', unit: 'count' },
    { type: 'cpu', unit: 'nanoseconds' },
  ],
  samples: [
    { stack: [parse, main], values: [3, 15_000_000], labels: { span: 'POST /orders', saga: 'card' } },
    { stack: [main], values: [1, 5_000_000_000_000], labels: {} },
  ],
  comments: ['one', 'two'],
  startedMs: Date.UTC(2026, 10, 26),
  durationMs: 30_000,
  period: 5_000_000,
};

test('a profile is read as it was written', async () => {
  expect(decodeProfile(await encodeProfile(profile))).toEqual(profile);
});

test('a profile that is not zipped is read too', async () => {
  expect(decodeProfile(gunzipSync(await encodeProfile(profile)))).toEqual(profile);
});

describe('what is no profile is said to be none', () => {
  const wire = {
    sampleType: [{ type: 1, unit: 1 }],
    sample: [{ locationId: [1], value: [1], label: [] }],
    location: [{ id: 1, line: [{ functionId: 1, line: 1 }] }],
    function: [{ id: 1, name: 1, filename: 1 }],
    stringTable: ['', 'cpu'],
  };
  const encoded = (changes: object) => gzipSync(ProfileMessage.encode({ ...wire, ...changes }).finish());
  it.each([
    ['nothing', new Uint8Array(), 'it is empty'],
    ['text', Buffer.from('# a heading\n'), "it is not made of profile.proto's fields"],
    ['half a zip', gzipSync(Buffer.alloc(5_000, 'x')).subarray(0, 20), 'it cannot be unzipped'],
    ['zipped text', gzipSync(Buffer.from('hello')), "it is not made of profile.proto's fields"],
    ['another message', encoded({ sampleType: [] }), 'it does not say what its samples measure'],
    ['a text that is not there', encoded({ stringTable: [''] }), 'it has no text number 1'],
    ['a function that is not there', encoded({ function: [] }), 'it has no function number 1'],
    ['a location that is not there', encoded({ location: [] }), 'it has no location number 1'],
    [
      'too many values',
      encoded({ sample: [{ locationId: [1], value: [1, 2] }] }),
      'a sample has 2 values, not 1',
    ],
  ])('%s', (_, bytes, why) => {
    expect(() => decodeProfile(bytes)).toThrow(NotAProfileError);
    expect(() => decodeProfile(bytes)).toThrow(`no pprof profile: ${why}`);
  });
});

test('paths do not tell in which folder a release was', () => {
  expect(relativeFile('/srv/v1/node_modules/pg/lib/client.js', '/srv/v1')).toBe(
    'node_modules/pg/lib/client.js',
  );
  expect(relativeFile('/srv/v1/orders/saga.ts', '/srv/v1')).toBe('orders/saga.ts');
  expect(relativeFile('node:internal/timers', '/srv/v1')).toBe('node:internal/timers');
  expect(relativeFile('/srv/v10/orders/saga.ts', '/srv/v1')).toBe('/srv/v10/orders/saga.ts');
});

test('memory is shared out as the CPU of the same calls was, and nothing of it is lost', () => {
  const call = (name: string) => ({ name, file: 'a.ts', line: 1 });
  const cpu = {
    ...profile,
    samples: [
      { stack: [call('shared'), main], values: [1, 30], labels: { span: 'a' } },
      { stack: [call('shared'), main], values: [1, 10], labels: { span: 'b' } },
      { stack: [call('own'), main], values: [1, 5], labels: { span: 'b' } },
    ],
  };
  const heapSample = (name: string, bytes: number) => ({
    stack: [call('allocate'), call(name), main],
    values: [1, bytes],
    labels: {},
  });
  const heap = { ...profile, samples: [heapSample('shared', 1_001), heapSample('own', 100)] };
  const found = shareHeap(heap, cpu).samples.map(({ labels, values }) => [labels['span'], values.at(-1)]);
  expect(found).toEqual([
    ['a', 751],
    ['b', 250],
    ['b', 100],
  ]);
  const elsewhere = { ...heap, samples: [{ stack: [call('never seen')], values: [1, 7], labels: {} }] };
  expect(shareHeap(elsewhere, cpu)).toEqual(elsewhere);
});
