import type { Verdict } from './check.ts';
import { describeFailure, type Failure } from './failure.ts';

/** From so many failed files on it is the code and not the machine, and a second run would only take time. */
const MAX_FILES = 3;

export interface SecondRun {
  readonly failures: readonly Failure[];
  /** Runs these files once more, and nothing beside them. Shape: what failed; empty when all is well. */
  readonly runAgain: (files: readonly string[]) => readonly Failure[];
}

/**
 * Shape: passed when nothing failed, and when the few files in which something did pass by themselves; what failed is told
 * either way.
 */
export function judge({ failures, runAgain }: SecondRun): Verdict {
  const first = failures.map(describeFailure);
  const files = new Set(failures.flatMap(({ file }) => file ?? []));
  const hasOthers = failures.some(({ file }) => file === undefined);
  if (failures.length === 0) return { isPassed: true, remarks: [] };
  if (hasOthers || files.size > MAX_FILES) return { isPassed: false, remarks: first };
  const again = runAgain([...files]);
  if (again.length === 0)
    return { isPassed: true, remarks: first.map((line) => `PASSED ONLY WHEN RUN AGAIN: ${line}`) };
  return {
    isPassed: false,
    remarks: [...first, ...again.map((one) => `run again: ${describeFailure(one)}`)],
  };
}
