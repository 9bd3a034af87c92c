export interface Size {
  /** Audiences, the small one first. */
  readonly recipients: readonly [few: number, many: number];
  readonly workers: number;
  readonly cancel: { readonly rounds: number; readonly recipients: number; readonly workers: number };
}

export const fullSize: Size = {
  recipients: [20_000, 1_000_000],
  workers: 2,
  cancel: { rounds: 5, recipients: 100_000, workers: 4 },
};

/** It shows that the benchmark works, not how fast anything is. */
export const quickSize: Size = {
  recipients: [2_000, 20_000],
  workers: 2,
  cancel: { rounds: 1, recipients: 20_000, workers: 4 },
};
