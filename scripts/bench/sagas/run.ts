import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';
import type { Assignment, ContenderName, Load, SagaRun } from './assignment.ts';
import type { SpanReceiver } from './span-receiver.ts';
import { expected, STEPS } from './work.ts';

const PROCESS = fileURLToPath(new URL('./process.ts', import.meta.url));
const TIMEOUT_MS = 3_600_000;

/** A contender's process, ready for loads. */
export interface RunningContender {
  readonly name: ContenderName;
  run(load: Load): Promise<SagaRun>;
  /** Errors: when a span did not arrive. */
  end(): Promise<void>;
  /** May be called after `end`. */
  kill(): Promise<void>;
}

/** Starts a contender in a process of its own. Errors: when it does not get ready. */
export async function startContender(
  assignment: Omit<Assignment, 'otlpEndpoint'>,
  receiver: SpanReceiver,
): Promise<RunningContender> {
  const name = assignment.contender;
  const child = startBenchChild<object>({
    main: PROCESS,
    assignment: { ...assignment, otlpEndpoint: receiver.endpointOf(name) },
    name,
    flags: ['--no-deprecation'], // of the rivals' own
    timeoutMs: TIMEOUT_MS,
  });
  try {
    await child.says('ready');
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    name,
    run: (load) => child.ask<SagaRun>(load),
    async end() {
      const { begun } = await child.ask<{ readonly begun: number }>('end');
      if (name !== 'throughline' && name !== 'group_commit_traced') return;
      const spans = await receiver.count(name);
      if (spans !== spansOf(begun))
        throw new Error(`${begun} sagas have ${spansOf(begun)} spans, but ${spans} were received`);
    },
    kill: child.stop,
  };
}

/** A saga's own and one for each step and compensation that was run. */
function spansOf(sagas: number): number {
  let spans = 0;
  for (let saga = 0; saga < sagas; saga++)
    spans += expected(saga) === 'confirmed' ? 1 + STEPS.length : 1 + 5 + 4;
  return spans;
}
