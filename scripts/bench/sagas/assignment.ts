export const CONTENDERS = [
  'throughline',
  'dbos',
  'restate',
  'step_commit',
  'group_commit',
  'group_commit_traced',
] as const;
export type ContenderName = (typeof CONTENDERS)[number];

/** What a contender's process is told. It then answers every Load that it is sent with a SagaRun, until it is told to end. */
export interface Assignment {
  readonly contender: ContenderName;
  /** The contender's own database, on the server that all share. */
  readonly databaseUrl: string;
  readonly postgresPid: number;
  /** Where Throughline exports its spans. */
  readonly otlpEndpoint: string;
  /** Where the rivals' packages are installed. */
  readonly rivalsFolder: string;
}

export interface Load {
  /** Sagas under way at once. */
  readonly concurrency: number;
  /** Not measured: until the sagas under way are at different steps, or, the first time, until code is compiled. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface SagaRun {
  readonly sagasPerSecond: number;
  /** Of the contender's process: garbage collection and compiler threads included. */
  readonly cpuMsPerSaga: number;
  /** Of PostgreSQL, or of the server that a rival brings instead. */
  readonly serverCpuMsPerSaga: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Sagas run to their end, those before and after the window included. */
  readonly begun: number;
}
