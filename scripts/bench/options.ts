export interface BenchOptions {
  /** The small run that CI does: it shows that the benchmark works, not how fast anything is. */
  readonly quick: boolean;
  /** How often each contender runs. Default: as the benchmark chooses. */
  readonly rounds?: number;
  readonly emulator: 'embedded' | 'gcloud';
  readonly onProgress: (text: string) => void;
}
