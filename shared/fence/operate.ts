import { type Context, context, type Span, SpanKind } from '@opentelemetry/api';
import { auditAction, type Via } from '../operator-action.ts';
import { OptionsError } from '../options.ts';
import { isStorable, storableText } from '../storable.ts';
import type { Database, Transaction } from '../storage/database.ts';
import type { SqlClient } from '../storage/sql-client.ts';
import { captureCarrier, spanContextOf } from '../trace/carrier.ts';
import { inSpan } from '../trace/in-span.ts';
import { links, linkTo } from '../trace/links.ts';
import { withOrderKey } from '../trace/order-key.ts';
import { FENCE_ACTION, FENCE_ACTOR, FENCE_ID, FENCE_REASON, FENCE_TARGET } from '../trace/semconv.ts';
import { FenceExistsError, FenceLiftedError, UnknownFenceError } from './errors.ts';
import { describeTarget, type Fence, type FenceAction, type FenceTarget } from './fence.ts';
import {
  insertFence,
  markLifted,
  type NewFence,
  readAll,
  readFence,
  readSame,
  readStanding,
} from './fence-rows.ts';

/** Where workers listen for fences that were added or lifted. */
export const FENCE_CHANNEL = 'throughline_fence';

/**
 * What operators do with fences.
 *
 * F1. Fence and audit row commit together; workers are told after that.
 * F2. Of the same fence one stands at a time, whoever adds it and how often.
 */
export interface AddFenceOptions {
  readonly action: FenceAction;
  readonly target: FenceTarget;
  /** Who does it, as the audit names them. At most 200 characters. */
  readonly actor: string;
  /** Why. At most 1,000 characters. */
  readonly reason: string;
  /** By which way they came; kept with the audit row. */
  readonly via?: Via | undefined;
}

export interface LiftFenceOptions {
  readonly fenceId: string;
  readonly actor: string;
  readonly reason: string;
  readonly via?: Via | undefined;
}

export interface FenceReceipt {
  readonly fence: Fence;
  /** Of the operator's span; undefined when nothing is traced. */
  readonly traceId: string | undefined;
}

/**
 * Adds a fence: stored, audited, traced, and told to every worker.
 *
 * Errors: OptionsError when the target is empty, or actor or reason are missing; FenceExistsError;
 * DatabaseUnavailableError.
 */
export async function addFence(database: Database, given: AddFenceOptions): Promise<FenceReceipt> {
  const options = { ...given, actor: storableText(given.actor), reason: storableText(given.reason) };
  check('fence add', options, [...targetProblems(options.target), ...actionProblems(options.action)]);
  const { action, target, actor, reason, via } = options;
  return inSpan(
    'operate fence.add',
    {
      kind: SpanKind.INTERNAL,
      parent: operatorContext(target),
      attributes: {
        [FENCE_ACTION]: action,
        [FENCE_TARGET]: describeTarget(target),
        [FENCE_ACTOR]: actor,
        [FENCE_REASON]: reason,
      },
    },
    async (span) => {
      const fence = await database.transaction(async (tx) => {
        const added = await insertOnce(tx, { action, target, actor, reason, carrier: captureCarrier() });
        await audit(tx, 'fence.add', added, { actor, reason, via });
        tx.afterCommit(() => database.notify(FENCE_CHANNEL)); // F1
        return added;
      });
      span.setAttribute(FENCE_ID, fence.id);
      return { fence, traceId: traceIdOf(span) };
    },
  );
}

/** F2. The fence that is in the way may be lifted before it can be read. */
async function insertOnce(tx: Transaction, fence: NewFence): Promise<Fence> {
  for (;;) {
    const added = await insertFence(tx, fence);
    if (added) return added;
    const same = await readSame(tx, fence);
    if (same) throw new FenceExistsError(same);
  }
}

/**
 * Lifts a fence: jobs that it paused run soon, jobs that it cancelled stay so.
 *
 * Errors: OptionsError when actor or reason are missing; UnknownFenceError; FenceLiftedError; DatabaseUnavailableError.
 */
export async function liftFence(database: Database, given: LiftFenceOptions): Promise<FenceReceipt> {
  const options = { ...given, actor: storableText(given.actor), reason: storableText(given.reason) };
  check('fence lift', options, []);
  const { fenceId, actor, reason, via } = options;
  const { action, target, carrier } = await findFence(database, fenceId);
  return inSpan(
    'operate fence.lift',
    {
      kind: SpanKind.INTERNAL,
      parent: operatorContext(target),
      attributes: {
        [FENCE_ID]: fenceId,
        [FENCE_ACTION]: action,
        [FENCE_TARGET]: describeTarget(target),
        [FENCE_ACTOR]: actor,
        [FENCE_REASON]: reason,
      },
      links: links(linkTo(spanContextOf(carrier), 'caused-by')),
    },
    async (span) => {
      const fence = await database.transaction(async (tx) => {
        const standing = await readFence(tx, fenceId, { isLocked: true });
        if (standing?.lifted) throw new FenceLiftedError(fenceId, standing.lifted);
        const lifted = await markLifted(tx, fenceId, { actor, reason });
        if (!lifted) throw new UnknownFenceError(fenceId);
        await audit(tx, 'fence.lift', lifted, { actor, reason, via });
        tx.afterCommit(() => database.notify(FENCE_CHANNEL)); // F1
        return lifted;
      });
      return { fence, traceId: traceIdOf(span) };
    },
  );
}

export interface ListFencesOptions {
  /** Lifted ones too. Default: only those that stand. */
  readonly includeLifted?: boolean;
  /** With `includeLifted`: how many at most. Default 1_000. */
  readonly limit?: number;
}

/** Fences that stand, the oldest first; with lifted ones the newest first. Errors: DatabaseUnavailableError. */
export function listFences(
  client: SqlClient,
  { includeLifted = false, limit = 1_000 }: ListFencesOptions = {},
): Promise<Fence[]> {
  return includeLifted ? readAll(client, limit) : readStanding(client);
}

/** Errors: UnknownFenceError, DatabaseUnavailableError. */
export async function findFence(client: SqlClient, fenceId: string): Promise<Fence> {
  const fence = await readFence(client, fenceId);
  if (!fence) throw new UnknownFenceError(fenceId);
  return fence;
}

const MAX_ACTOR_CHARS = 200;
const MAX_REASON_CHARS = 1_000;
/** What Pub/Sub lets an attribute's value have. */
const MAX_TARGET_CHARS = 1_024;

function check(
  of: string,
  { actor, reason }: { readonly actor: string; readonly reason: string },
  problems: readonly string[],
): void {
  const all = [
    ...problems,
    actor.trim() === '' && 'actor: expected the name of who does it',
    actor.length > MAX_ACTOR_CHARS && `actor: expected at most ${MAX_ACTOR_CHARS} characters`,
    reason.trim() === '' && 'reason: expected why',
    reason.length > MAX_REASON_CHARS && `reason: expected at most ${MAX_REASON_CHARS} characters`,
  ].filter((problem) => problem !== false);
  if (all.length > 0) throw new OptionsError(of, all);
}

function targetProblems(target: FenceTarget): string[] {
  const given = (['job', 'campaign', 'orderKey'] as const).flatMap((part) => {
    const value = target[part];
    return value === undefined ? [] : [{ part, value }];
  });
  if (given.length === 0) return ['target: expected a job, a campaign or an order key'];
  return given.flatMap(({ part, value }) => {
    if (value === '' || value.length > MAX_TARGET_CHARS || !isStorable(value))
      return [`${part}: expected 1 to ${MAX_TARGET_CHARS} characters of text`];
    if (part === 'job' && /\.v\d+$/.test(value))
      return [`job: expected a name without its version, like "${value.replace(/\.v\d+$/, '')}"`];
    return [];
  });
}

function actionProblems(action: string): string[] {
  return action === 'pause' || action === 'cancel' ? [] : ['action: expected pause or cancel'];
}

function operatorContext({ orderKey }: FenceTarget): Context {
  const active = context.active();
  return orderKey === undefined ? active : withOrderKey(active, orderKey);
}

function traceIdOf(span: Span): string | undefined {
  return span.isRecording() ? span.spanContext().traceId : undefined;
}

async function audit(
  tx: SqlClient,
  what: 'fence.add' | 'fence.lift',
  { id, action, target }: Fence,
  who: Pick<AddFenceOptions, 'actor' | 'reason' | 'via'>,
): Promise<void> {
  const { actor, reason, via } = who;
  await auditAction(tx, {
    actor,
    via,
    action: what,
    target: `fence ${id}`,
    reason,
    details: { action, target },
  });
}
