import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';
import type { Assignment, SagaRun } from './assignment.ts';
import type { SpanReceiver } from './span-receiver.ts';
import { expected, STEPS } from './work.ts';

const PROCESS = fileURLToPath(new URL('./process.ts', import.meta.url));
const TIMEOUT_MS = 180_000;

/** Runs one contender in a process of its own. Errors: when it fails, or when one of Throughline's spans is missing. */
export async function runContender(
  assignment: Omit<Assignment, 'otlpEndpoint'>,
  receiver: SpanReceiver,
): Promise<SagaRun> {
  const child = startBenchChild<SagaRun>({
    main: PROCESS,
    assignment: { ...assignment, otlpEndpoint: receiver.endpoint },
    name: assignment.contender,
    flags: ['--no-deprecation'], // of the rivals' own
    timeoutMs: TIMEOUT_MS,
  });
  try {
    const run = await child.result;
    const spans = await receiver.count();
    if (assignment.contender === 'throughline' && spans !== spansOf(run.begun))
      throw new Error(`${run.begun} sagas have ${spansOf(run.begun)} spans, but ${spans} were received`);
    return run;
  } finally {
    await child.stop();
  }
}

/** A saga's own and one for each step and compensation that was run. */
function spansOf(sagas: number): number {
  let spans = 0;
  for (let saga = 0; saga < sagas; saga++)
    spans += expected(saga) === 'confirmed' ? 1 + STEPS.length : 1 + 5 + 4;
  return spans;
}
