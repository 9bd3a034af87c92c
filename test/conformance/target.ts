/** What not every implementation of Pub/Sub does as documented. What is not listed here is expected of all. */
export type Capability =
  | 'ackDeadlineMaximum'
  | 'ackDeadlineMinimum'
  | 'backoffFromFirstFailure'
  | 'deadLetterOrdering'
  | 'deadLetterTopicOptional'
  | 'errorTexts'
  | 'exactlyOnceConfirmations'
  | 'exactlyOnceErrors'
  | 'filters'
  | 'firstRequestOnly'
  | 'flowControl'
  | 'keepAlive'
  | 'labelUpdates'
  | 'limits'
  | 'longRetention'
  | 'orderedRedelivery'
  | 'refusals'
  | 'zeroBackoff';

export interface RunningTarget {
  /** `127.0.0.1:8085` */
  readonly host: string;
  close(): Promise<void>;
}

export interface Target {
  readonly name: string;
  /** For each capability that is missing: why. The reason is what a skipped test prints. */
  readonly missing: Readonly<Partial<Record<Capability, string>>>;
  start(): Promise<RunningTarget>;
}
