import {
  CampaignExistsError,
  CampaignInputError,
  CampaignStateError,
  UnknownCampaignError,
} from '../../publisher/campaign/index.ts';
import {
  SagaActionPendingError,
  SagaInputError,
  SagaNotStuckError,
  UnknownSagaError,
} from '../../publisher/saga/index.ts';
import { ThroughlineError } from '../../shared/errors.ts';
import { ProblemError } from '../../shared/http/problem.ts';
import { OptionsError } from '../../shared/options.ts';
import { CursorError } from '../../shared/storage/cursor.ts';
import {
  DeadLetterInputError,
  DeadLetterRefusedError,
  FenceExistsError,
  FenceLiftedError,
  UnknownDeadLetterError,
  UnknownFenceError,
} from '../../subscriber/index.ts';
import { UnknownJobIdError } from '../jobs/show-job.ts';

const UNKNOWN = [
  UnknownSagaError,
  UnknownFenceError,
  UnknownDeadLetterError,
  UnknownJobIdError,
  UnknownCampaignError,
];
/** Somebody was first, or it is not in a state for that. */
const CONFLICTS = [
  SagaNotStuckError,
  SagaActionPendingError,
  FenceExistsError,
  FenceLiftedError,
  DeadLetterRefusedError,
  CampaignExistsError,
  CampaignStateError,
];
const INPUT = [SagaInputError, OptionsError, DeadLetterInputError, CampaignInputError, CursorError];

/** What an operation refused, as a problem named by the error's code; anything else stays what it is. */
export function asRefusal(error: unknown): unknown {
  if (!(error instanceof ThroughlineError) || error instanceof ProblemError) return error;
  const status = statusOf(error);
  if (status === undefined) return error;
  return new ProblemError(status, error.code.toLowerCase().replaceAll('_', '-'), error.message);
}

function statusOf(error: ThroughlineError): number | undefined {
  const isOne = (kinds: readonly (abstract new (...args: never[]) => Error)[]) =>
    kinds.some((kind) => error instanceof kind);
  if (isOne(UNKNOWN)) return 404;
  if (isOne(CONFLICTS)) return 409;
  return isOne(INPUT) ? 422 : undefined;
}
