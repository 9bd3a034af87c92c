import { told } from '../child.ts';
import { quantile } from '../statistics.ts';
import type { Assignment, SideResult } from './assignment.ts';
import { type Contender, nowMs } from './contender.ts';
import { googleClient } from './google-client.ts';
import { throughline } from './throughline.ts';

/** One side of one contender, in a process of its own. */
async function createContender({ contender, emulatorHost }: Assignment): Promise<Contender> {
  switch (contender) {
    case 'raw_default':
      return googleClient(emulatorHost, { tuned: false, tracing: false });
    case 'raw_tuned':
      return googleClient(emulatorHost, { tuned: true, tracing: false });
    case 'client_tracing':
      return googleClient(emulatorHost, { tuned: true, tracing: true });
    case 'throughline':
      return throughline(emulatorHost, 'streaming');
    case 'throughline_client':
      return throughline(emulatorHost, 'client');
  }
}

async function publishSide(contender: Contender, { names, load }: Assignment): Promise<SideResult> {
  await contender.publish(names, { messages: load.warmUp, pacePerSecond: 0 });
  await told('go');
  const meter = startMeter();
  await contender.publish(names, load);
  return meter(await contender.close(), []);
}

async function subscribeSide(contender: Contender, { names, load }: Assignment): Promise<SideResult> {
  await contender.prepare(names);
  const latencies: number[] = [];
  const heapMb: number[] = [];
  const tenth = Math.ceil(load.messages / 10);
  const { promise: all, resolve: finished } = Promise.withResolvers<void>();
  let warming = load.warmUp;
  let meter = startMeter();
  const subscription = await contender.subscribe(names, ({ sentAtMs }) => {
    if (warming > 0) {
      warming -= 1;
      if (warming > 0) return;
      meter = startMeter();
      process.send?.('warm');
      return;
    }
    latencies.push(nowMs() - sentAtMs);
    if (globalThis.gc && latencies.length % tenth === 0) heapMb.push(usedHeapMb());
    if (latencies.length === load.messages) finished();
  });
  process.send?.('ready');
  await all;
  const result = meter(0, latencies, heapMb);
  await subscription.stop();
  return { ...result, spans: await contender.close() };
}

function usedHeapMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

function startMeter() {
  const startedMs = nowMs();
  const before = process.cpuUsage();
  return (spans: number, latencies: number[], heapMb: readonly number[] = []): SideResult => {
    const { user, system } = process.cpuUsage(before);
    const sorted = latencies.toSorted((a, b) => a - b);
    return {
      startedMs,
      endedMs: nowMs(),
      cpuMs: (user + system) / 1_000,
      peakRssMb: process.resourceUsage().maxRSS / 1_024,
      spans,
      latencyP50Ms: quantile(sorted, 0.5),
      latencyP99Ms: quantile(sorted, 0.99),
      heapMb,
    };
  };
}

const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
const side = assignment.role === 'publish' ? publishSide : subscribeSide;
process.send?.(await side(await createContender(assignment), assignment));
process.disconnect();
