export interface BenchOptions {
  /** The small run that CI does: it shows that the benchmark works, not how fast anything is. */
  readonly quick: boolean;
  /** How often each contender runs. Default: as the benchmark chooses. */
  readonly rounds?: number;
  readonly emulator: 'embedded' | 'gcloud';
  /** Whether rivals are installed and run, where a benchmark has any that are no dependencies. */
  readonly rivals: boolean;
  readonly onProgress: (text: string) => void;
}
