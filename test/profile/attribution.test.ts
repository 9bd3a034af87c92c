import { context, trace } from '@opentelemetry/api';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inSpan, startTelemetry, type Telemetry } from '../../shared/index.ts';
import { activeFollower } from '../../shared/profile/active-work.ts';
import { readComments } from '../../shared/profile/comments.ts';
import { decodeProfile, type Profile, type ProfileSample } from '../../shared/profile/pprof.ts';
import { takeProfiles } from '../../shared/profile/take.ts';
import { JOB_NAME, ORDER_KEY, SAGA_NAME, SAGA_STEP } from '../../shared/trace/semconv.ts';

let telemetry: Telemetry;
beforeEach(() => {
  telemetry = startTelemetry({ serviceName: 'profiled' });
});
afterEach(() => telemetry.shutdown());

/** Burns CPU, and not the clock: on a machine that is busy with others both differ. */
function burn(ms: number): void {
  const before = process.cpuUsage();
  for (;;) {
    for (let n = 0, sum = 0; n < 20_000; n++) sum += Math.sqrt(n * sum);
    const { user, system } = process.cpuUsage(before);
    if (user + system >= ms * 1_000) return;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function profiled(
  work: () => Promise<unknown>,
  kinds: readonly ('cpu' | 'heap')[] = ['cpu'],
): Promise<Map<string, Profile>> {
  const done = new AbortController();
  const taken = takeProfiles({ kinds, seconds: 60, service: 'profiled', signal: done.signal });
  while (!activeFollower()) await turn();
  await work();
  done.abort();
  return new Map([...(await taken)].map(([kind, bytes]) => [kind, decodeProfile(bytes)]));
}

async function cpuOf(work: () => Promise<unknown>): Promise<Profile> {
  return (await profiled(work)).get('cpu') as Profile;
}

const sum = ({ samples }: Profile, isMeant: (sample: ProfileSample) => boolean) =>
  samples.filter(isMeant).reduce((total, { values }) => total + (values.at(-1) ?? 0), 0) / 1_000_000;

/** By its innermost function: V8 may have built `burn` into what calls it. */
const burnt = ({ stack: [leaf] }: ProfileSample) =>
  leaf?.name === 'cpuUsage' || (leaf?.file ?? '').endsWith('attribution.test.ts');

test('three kinds of work have the shares of CPU that they took, across awaits and side by side', async () => {
  const work = (name: string, ms: number) =>
    inSpan(name, {}, async () => {
      for (let slice = 0; slice < 10; slice++) {
        burn(ms / 10);
        if (slice % 2 === 0) await turn();
        else await Promise.resolve();
      }
    });
  const profile = await cpuOf(() =>
    Promise.all([work('large', 800), work('middle', 400), work('small', 200)]),
  );
  const of = (name: string) => sum(profile, ({ labels }) => labels['span'] === name);
  const [large, middle, small] = [of('large'), of('middle'), of('small')];
  const total = large + middle + small;
  for (const [share, due] of [
    [large / total, 4 / 7],
    [middle / total, 2 / 7],
    [small / total, 1 / 7],
  ] as const)
    expect(Math.abs(share - due)).toBeLessThan(0.08);
  // Nearly all of it has a name: what has none is the profiler's own, and the compiler's.
  const nameless = sum(profile, (sample) => burnt(sample) && sample.labels['span'] === undefined);
  expect(nameless / total).toBeLessThan(0.05);
}, 60_000);

test('spans that are shorter than the time between two samples have their share too', async () => {
  const profile = await cpuOf(async () => {
    for (let n = 0; n < 150; n++) {
      await inSpan('short', {}, async () => burn(4));
      await turn();
    }
  });
  const all = sum(profile, burnt);
  const named = sum(profile, (sample) => burnt(sample) && sample.labels['span'] === 'short');
  expect(named / all).toBeGreaterThan(0.8);
}, 60_000);

test('nothing is of a span that has ended, though its context lives on', async () => {
  let left: Promise<void> | undefined;
  const profile = await cpuOf(() =>
    inSpan('outer', {}, async () => {
      await inSpan('short', {}, async () => {
        burn(200);
        left = (async function afterwards() {
          await turn();
          burn(400);
        })();
      });
      await left;
    }),
  );
  const late = ({ stack }: ProfileSample) => stack.some(({ name }) => name === 'afterwards');
  const of = (span: string, isMeant = (_: ProfileSample) => true) =>
    sum(profile, (sample) => isMeant(sample) && sample.labels['span'] === span);
  expect(of('short')).toBeGreaterThan(100);
  expect(of('short', late)).toBeLessThan(20); // a sample at the border
  expect(of('outer', late)).toBeGreaterThan(250);
}, 60_000);

test('a span that had ended before the profile began has none of it', async () => {
  const gate = Promise.withResolvers<void>();
  let left: Promise<void> | undefined;
  await inSpan('before', {}, async () => {
    left = (async () => {
      await gate.promise;
      await inSpan('within', {}, async () => burn(100));
      context.with(context.active(), burn, undefined, 100);
    })();
  });
  const profile = await cpuOf(async () => {
    gate.resolve();
    await left;
  });
  const names = new Set(profile.samples.map(({ labels }) => labels['span']));
  expect([names.has('within'), names.has('before')]).toEqual([true, false]);
}, 60_000);

test('a call inside a step is work of the step, of its saga and its job, and bears no key', async () => {
  const attributes = { [SAGA_STEP]: 'redeem-card', [SAGA_NAME]: 'card-order', [ORDER_KEY]: 'O-1' };
  const profile = await cpuOf(async () => {
    await inSpan('process jobs', { attributes: { [JOB_NAME]: 'card.redeem' } }, () =>
      inSpan('step redeem-card', { attributes }, () =>
        inSpan('POST /cards', {}, async () => {
          await turn();
          burn(150);
        }),
      ),
    );
    await inSpan('compensate redeem-card', { attributes }, async () => burn(150));
  });
  const all = { step: 'redeem-card', saga: 'card-order' };
  const found = new Set(profile.samples.map(({ labels }) => JSON.stringify(Object.entries(labels).sort())));
  const due = (labels: object) => JSON.stringify(Object.entries(labels).sort());
  expect(found).toContain(due({ ...all, span: 'POST /cards', job: 'card.redeem' }));
  expect(found).toContain(due({ ...all, span: 'compensate redeem-card', step: 'compensate redeem-card' }));
  expect(profile.comments.join() + [...found].join()).not.toContain('O-1');
  const { ended, facts } = readComments(profile.comments);
  expect(facts).toMatchObject({ kind: 'cpu', service: 'profiled', node: process.version });
  expect(ended).toContainEqual({ ...all, span: 'POST /cards', job: 'card.redeem', ended: 1 });
}, 60_000);

test('a name that a span is given in its course is the one that its work has', async () => {
  const profile = await cpuOf(() =>
    inSpan('GET', {}, async (span) => {
      burn(100);
      span.updateName('GET /orders/:orderKey');
      await turn();
      burn(100);
    }),
  );
  const names = new Set(profile.samples.map(({ labels }) => labels['span']));
  expect(names).toContain('GET /orders/:orderKey');
  expect(names).not.toContain('GET');
}, 60_000);

test('what is kept of the heap has the names of the work that allocated it', async () => {
  const kept: number[][] = []; // 12 and 4 of them in each round
  const megabyte = 1024 * 1024;
  function allocateMuch() {
    for (let n = 0; n < 12; n++) kept.push(new Array(megabyte / 8).fill(n));
    burn(60);
  }
  function allocateLittle() {
    for (let n = 0; n < 4; n++) kept.push(new Array(megabyte / 8).fill(n));
    burn(60);
  }
  const profiles = await profiled(async () => {
    for (let round = 0; round < 5; round++) {
      await inSpan('much', {}, async () => {
        await turn();
        allocateMuch();
      });
      await inSpan('little', {}, async () => {
        await turn();
        allocateLittle();
      });
    }
  }, ['cpu', 'heap']);
  expect(kept.length).toBe(80); // they are still there
  const heap = profiles.get('heap') as Profile;
  expect(heap.valueTypes.at(-1)).toEqual({ type: 'inuse_space', unit: 'bytes' });
  const of = (name: string) => sum(heap, ({ labels }) => labels['span'] === name);
  expect(of('much') / of('little')).toBeGreaterThan(1.8);
  expect(of('much') / of('little')).toBeLessThan(5);
}, 60_000);

test('one at a time, and telemetry is as it was afterwards', async () => {
  const first = takeProfiles({ kinds: ['cpu'], seconds: 0.2, service: 'profiled' });
  await expect(takeProfiles({ kinds: ['cpu'], seconds: 0.2, service: 'profiled' })).rejects.toThrow(
    'a profile of this process is being taken already',
  );
  expect((await first).get('cpu')).toBeDefined();
  await inSpan('afterwards', {}, async (span) => {
    await turn();
    expect(trace.getActiveSpan()).toBe(span);
  });
  expect((await takeProfiles({ kinds: ['cpu'], seconds: 0.1, service: 'profiled' })).size).toBe(1);
}, 60_000);
