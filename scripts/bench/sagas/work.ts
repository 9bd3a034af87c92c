/**
 * The same saga for every contender: six steps that do nothing but return a result of about 100 bytes, each result
 * stored before the next step begins. One saga in five fails for good at step 5 and compensates the four before it.
 */
export const STEPS = ['reserve', 'redeem', 'contract', 'settle', 'acquire', 'confirm'] as const;

export type StepName = (typeof STEPS)[number];
export type Outcome = 'confirmed' | 'compensated';

export interface StepResult {
  readonly step: StepName;
  readonly saga: number;
  readonly text: string;
}

const FAILING = STEPS[4];
const ONE_IN = 5;
const FILLER = 'x'.repeat(60);

export class StepFailedError extends Error {
  override readonly name = 'StepFailedError';
  /** For those who would try again. */
  readonly retryable = false;
  /** For those who would compensate the step that failed as well. */
  readonly effect = 'none';
}

export function expected(saga: number): Outcome {
  return saga % ONE_IN === ONE_IN - 1 ? 'compensated' : 'confirmed';
}

/** Errors: StepFailedError at step 5 of one saga in five. */
export async function doStep(step: StepName, saga: number): Promise<StepResult> {
  if (step === FAILING && expected(saga) === 'compensated') throw new StepFailedError(`${step} is refused`);
  return { step, saga, text: FILLER };
}

export async function undoStep(_step: StepName, _saga: number): Promise<void> {}
