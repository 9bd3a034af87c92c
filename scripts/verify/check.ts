/** A part of what CI runs. */
export interface Check {
  readonly name: string;
  /** Runs to its end, and says on the console what goes on. */
  readonly run: () => Verdict;
}

export interface Verdict {
  readonly isPassed: boolean;
  /** What is to be said of it once more at the very end, a line each. */
  readonly remarks: readonly string[];
}
