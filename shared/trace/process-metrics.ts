import { metrics } from '@opentelemetry/api';
import { optionsOf } from './meters.ts';
import { PROCESS_CPU_MODE } from './semconv.ts';

/**
 * Publishes what this process costs: its CPU time, garbage collection and compiler threads included, and its resident
 * memory. Read when metrics are collected. Shape: a function that stops it.
 *
 * Source: OpenTelemetry, "Semantic conventions for OS process metrics".
 */
export function observeProcess(): () => void {
  const meter = metrics.getMeter('throughline');
  const time = meter.createObservableCounter('process.cpu.time', optionsOf('process.cpu.time'));
  const memory = meter.createObservableUpDownCounter(
    'process.memory.usage',
    optionsOf('process.memory.usage'),
  );
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
    const { user, system } = process.cpuUsage();
    result.observe(time, user / 1e6, { [PROCESS_CPU_MODE]: 'user' });
    result.observe(time, system / 1e6, { [PROCESS_CPU_MODE]: 'system' });
    result.observe(memory, process.memoryUsage.rss());
  };
  meter.addBatchObservableCallback(observe, [time, memory]);
  return () => meter.removeBatchObservableCallback(observe, [time, memory]);
}
