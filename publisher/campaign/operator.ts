import type { Via } from '../../shared/operator-action.ts';
import { isStorable } from '../../shared/storable.ts';
import { CampaignInputError } from './errors.ts';

/** Who does it, as the audit names them. */
export interface Operator {
  /** At most 200 characters. */
  readonly actor: string;
  readonly via?: Via | undefined;
}

const MAX_ACTOR_CHARS = 200;
const MAX_REASON_CHARS = 1_000;

/** Errors: CampaignInputError. */
export function checkOperator(
  of: string,
  { actor, reason }: Operator & { readonly reason?: string | undefined },
  { isReasonNeeded = false } = {},
): void {
  const issues = [
    actor.trim() === '' && 'actor: expected the name of who does it',
    (actor.length > MAX_ACTOR_CHARS || !isStorable(actor)) &&
      `actor: expected at most ${MAX_ACTOR_CHARS} characters of text`,
    isReasonNeeded && (reason ?? '').trim() === '' && 'reason: expected why',
    reason !== undefined &&
      (reason.length > MAX_REASON_CHARS || !isStorable(reason)) &&
      `reason: expected at most ${MAX_REASON_CHARS} characters of text`,
  ].filter((issue) => issue !== false);
  if (issues.length > 0) throw new CampaignInputError(of, issues);
}
