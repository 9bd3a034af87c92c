import { inSpan, startTelemetry } from '../../shared/index.ts';
import { activeFollower } from '../../shared/profile/active-work.ts';
import { decodeProfile } from '../../shared/profile/pprof.ts';
import { takeProfiles } from '../../shared/profile/take.ts';

/** Profiles three kinds of work, 400, 200 and 100 ms of CPU, and prints what each was found to have; or why there is no profile. */
const telemetry = startTelemetry({ serviceName: 'three-kinds' });

function burn(ms: number): void {
  const before = process.cpuUsage();
  for (;;) {
    for (let n = 0, sum = 0; n < 20_000; n++) sum += Math.sqrt(n * sum);
    const { user, system } = process.cpuUsage(before);
    if (user + system >= ms * 1_000) return;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const work = (name: string, ms: number) =>
  inSpan(name, {}, async () => {
    for (let slice = 0; slice < 10; slice++) {
      burn(ms / 10);
      await (slice % 2 === 0 ? turn() : Promise.resolve());
    }
  });

const done = new AbortController();
const taken = takeProfiles({ kinds: ['cpu'], seconds: 60, service: 'three-kinds', signal: done.signal });
let isRefused = false;
taken.catch(() => {
  isRefused = true;
});
while (!activeFollower() && !isRefused) await turn();
await Promise.all([work('large', 400), work('middle', 200), work('small', 100)]);
done.abort();
try {
  const found: Record<string, number> = {};
  for (const { labels, values } of decodeProfile((await taken).get('cpu') ?? new Uint8Array()).samples)
    found[labels['span'] ?? ''] = (found[labels['span'] ?? ''] ?? 0) + (values.at(-1) ?? 0) / 1_000_000;
  console.log(JSON.stringify(found));
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  console.log(JSON.stringify({ code, message }));
}
await telemetry.shutdown();
