import type { SagaRun } from './assignment.ts';
import type { Databases } from './databases.ts';
import type { Size } from './size.ts';
import type { SpanReceiver } from './span-receiver.ts';

/** What the parts of the benchmark share. */
export interface Stage {
  readonly databases: Databases;
  readonly receiver: SpanReceiver;
  readonly rivalsFolder: string;
  readonly size: Size;
  readonly onProgress: (text: string) => void;
}

export function describe(run: SagaRun): string {
  const cpu = `${run.cpuMsPerSaga.toFixed(2)} ms CPU and ${run.serverCpuMsPerSaga.toFixed(2)} of the server a saga`;
  return `${run.sagasPerSecond.toFixed(0)} sagas/s, ${cpu}, p50 ${run.p50Ms.toFixed(1)} ms, p99 ${run.p99Ms.toFixed(1)} ms`;
}
