export interface Size {
  readonly rounds: number;
  /** How long installing the rivals may take, in ms. */
  readonly installMs: number;
  /** Of the further parts. */
  readonly partRounds: number;
  readonly speed: { readonly compileMs: number; readonly warmUpMs: number; readonly measureMs: number };
  readonly flat: {
    /** Finished sagas in the tables: few, and so many times as many. */
    readonly few: number;
    readonly times: number;
    readonly warmUpMs: number;
    readonly measureMs: number;
  };
  readonly relay: { readonly warmUp: number; readonly jobs: number };
}

export const fullSize: Size = {
  rounds: 12,
  partRounds: 3,
  installMs: 180_000,
  speed: { compileMs: 3_000, warmUpMs: 200, measureMs: 1_000 },
  flat: { few: 1_000, times: 100, warmUpMs: 1_000, measureMs: 4_000 },
  relay: { warmUp: 5_000, jobs: 30_000 },
};

/** It shows that the benchmark works, not how fast anything is. */
export const quickSize: Size = {
  rounds: 1,
  partRounds: 1,
  installMs: 30_000,
  speed: { compileMs: 1_000, warmUpMs: 200, measureMs: 700 },
  flat: { few: 100, times: 10, warmUpMs: 300, measureMs: 700 },
  relay: { warmUp: 100, jobs: 1_000 },
};
