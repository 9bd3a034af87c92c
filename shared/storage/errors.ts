import { ThroughlineError } from '../errors.ts';
import { errorMessage, errorType } from '../trace/record-error.ts';

/** PostgreSQL cannot be reached, or the connection went away; `outcomeUnknown` when a statement was under way. */
export class DatabaseUnavailableError extends ThroughlineError {
  override readonly name = 'DatabaseUnavailableError';
  readonly code = 'DATABASE_UNAVAILABLE';
  override readonly retryable = true;
  /** True: nobody knows whether the statement (or the commit) took effect. */
  readonly outcomeUnknown: boolean;

  constructor(message: string, options: ErrorOptions & { readonly outcomeUnknown: boolean }) {
    super(message, options);
    this.outcomeUnknown = options.outcomeUnknown;
  }
}

export function unavailable(cause: unknown, outcomeUnknown: boolean): DatabaseUnavailableError {
  return new DatabaseUnavailableError(`PostgreSQL is not available: ${errorMessage(cause)}`, {
    cause,
    outcomeUnknown,
  });
}

/** The transaction's work went on after one of its statements had failed (the `cause`): nothing was committed. */
export class TransactionAbortedError extends ThroughlineError {
  override readonly name = 'TransactionAbortedError';
  readonly code = 'TRANSACTION_ABORTED';

  constructor(options?: ErrorOptions) {
    super('PostgreSQL rolled the transaction back, because one of its statements had failed', options);
  }
}

/** Class 08: connection exceptions; 57P01–57P05: the server shuts down, crashed, starts, or ended an idle session; 53300: too many connections. */
const LOST_STATES = new Set(['57P01', '57P02', '57P03', '57P05', '53300', '25P03']);
const LOST_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);
/**
 * The server is there and cannot serve: 25006, it takes no writes (a failover's old or new standby); classes 53, no memory or
 * disk; 58, a system call failed; XX, its own fault or damaged data. Not what a statement brought upon itself.
 */
const FAULT_STATES = [
  '25006',
  '53000',
  '53100',
  '53200',
  '53400',
  '58000',
  '58030',
  'XX000',
  'XX001',
  'XX002',
];
const OTHER = '_OTHER';
/** What `throughline.database.errors` tells apart; each is there at 0 from the start. */
export const LOSS_TYPES: readonly string[] = [
  ...LOST_STATES,
  ...LOST_CODES,
  ...['08000', '08001', '08003', '08004', '08006'],
  ...FAULT_STATES,
  OTHER,
];

/** Shape: one of LOSS_TYPES. */
export function lossType(error: unknown): string {
  const type = errorType(error);
  return LOSS_TYPES.includes(type) ? type : OTHER;
}

/** What `pg` says without a code. */
const LOST_MESSAGES = [
  'Connection terminated',
  'Client has encountered a connection error',
  'timeout exceeded when trying to connect',
  'Client was closed',
  'Query read timeout',
];

/** Whether an error of `pg` means that the connection, not the statement, failed. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') return LOST_STATES.has(code) || LOST_CODES.has(code) || code.startsWith('08');
  return LOST_MESSAGES.some((message) => error.message.startsWith(message)); // pg gives these no code
}

/** Whether the server itself says that it cannot do what it was asked for, whatever it was. */
export function isServerFault(error: unknown): boolean {
  return error instanceof Error && FAULT_STATES.includes(String((error as { code?: unknown }).code));
}
