import { hash } from 'node:crypto';
import { type Answer, fieldErrors, invalid, ok, problem } from './answer.ts';
import { type EffectSpec, effectSpec } from './effects.ts';
import type { Ledger, LedgerRow } from './ledger.ts';
import type { Payment } from './payment-page.ts';
import type { Payments } from './payments.ts';

export interface EffectRequest {
  readonly partner: string;
  readonly effect: string;
  readonly idempotencyKey: string;
  readonly body: Record<string, unknown>;
}

export interface EffectsDependencies {
  readonly ledger: Ledger;
  readonly payments: Payments;
  readonly url: () => string;
}

/** What a known key was first answered. */
interface Known {
  readonly bodyHash: string;
  readonly answer: Answer;
}

export interface Effects {
  /** Shape: what to answer; nothing has happened when it is a problem. */
  perform(request: EffectRequest): Answer;
}

/**
 * Does what partners do, each thing once a key.
 *
 * E1. A repeated key gets the first answer and no second effect; with another body it is refused. A refusal is not kept:
 *     what could not be done then may be possible now.
 * E2. What was undone before it arrived does not happen any more: a request may have been on its way for long.
 * E3. An effect is undone once, whoever asks how often and under which keys.
 */
export function createEffects(dependencies: EffectsDependencies): Effects {
  const known = new Map<string, Known>();
  const tombstones = new Set<string>();
  return {
    perform(request) {
      const { partner, effect, idempotencyKey, body } = request;
      const spec = effectSpec(partner, effect);
      if (!spec) return problem(404, `there is no ${partner}/${effect}`);
      const parsed = spec.body.safeParse(body);
      if (!parsed.success) return invalid(422, fieldErrors(parsed.error.issues));
      const key = `${partner}/${effect}/${idempotencyKey}`;
      const bodyHash = hash('sha256', JSON.stringify(Object.entries(body).sort()));
      const first = known.get(key);
      if (first && first.bodyHash !== bodyHash)
        return invalid(422, [{ field: 'Idempotency-Key', detail: 'it was used for another request' }]); // E1
      if (first) return first.answer;
      if (tombstones.has(key)) return problem(409, 'this was undone before it arrived'); // E2
      if (spec.undoes)
        for (const undone of spec.undoes) tombstones.add(`${partner}/${undone}/${body['undoes']}`); // E2
      const answer = spec.undoes
        ? undo(request, spec.undoes, dependencies)
        : happen(request, spec, dependencies);
      if (answer.status < 400) known.set(key, { bodyHash, answer });
      return answer;
    },
  };
}

function happen(
  request: EffectRequest,
  spec: EffectSpec,
  { ledger, payments, url }: EffectsDependencies,
): Answer {
  const { effect, body } = request;
  // What is captured, and whose card is registered, must have been authorised.
  const refusal = body['paymentId'] === undefined ? undefined : payments.refusal(String(body['paymentId']));
  if (refusal) return refusal;
  const { reference } = ledger.record(rowOf(request, spec.subject(body)));
  if (effect === 'prepare') return prepared(payments.prepare(reference, body), url());
  return ok({ [spec.answers]: reference });
}

function undo(
  request: EffectRequest,
  undoes: readonly string[],
  { ledger, payments }: EffectsDependencies,
): Answer {
  const { partner, body } = request;
  const idempotencyKey = String(body['undoes']);
  const rows = undoes
    .map((effect) => ledger.find({ partner, effect, idempotencyKey }))
    .filter((row) => row !== undefined && row.undoneBy === undefined) as LedgerRow[];
  const [main] = rows;
  if (!main) return ok({ outcome: 'nothing-to-undo' }); // E3
  const row = ledger.record({
    ...rowOf(request, `the ${main.effect} of ${main.subject}`),
    undoes: main.reference,
  });
  ledger.markUndone(rows, row);
  for (const { effect, reference } of rows) if (effect === 'prepare') payments.cancel(reference);
  return ok({ outcome: 'undone', undoId: row.reference });
}

function rowOf({ partner, effect, idempotencyKey, body }: EffectRequest, subject: string) {
  return { partner, effect, idempotencyKey, orderKey: String(body['orderKey']), subject };
}

function prepared({ paymentId, state }: Payment, url: string): Answer {
  if (state !== 'requires-action') return ok({ paymentId, status: 'authorised' });
  return ok({ paymentId, status: 'requires-action', challengeUrl: `${url}/3ds/${paymentId}` });
}
