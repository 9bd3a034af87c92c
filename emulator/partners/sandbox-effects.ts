import { hash } from 'node:crypto';
import { type Answer, ok, problem } from './answer.ts';
import { EFFECTS, type EffectSpec } from './effects.ts';
import type { Ledger, LedgerRow } from './ledger.ts';
import type { Payment, Payments } from './payments.ts';

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

/**
 * Does what partners do, each thing once a key.
 *
 * E1. A repeated key gets the first answer and no second effect; with another body it is refused.
 * E2. What was undone before it arrived does not happen any more: a request may have been on its way for long.
 */
export function createEffects({ ledger, payments, url }: EffectsDependencies) {
  const known = new Map<string, Known>();
  const tombstones = new Set<string>();

  const undo = (request: EffectRequest, { undoes = [] }: EffectSpec): Answer => {
    const { partner, body } = request;
    const key = String(body['undoes']);
    for (const effect of undoes) tombstones.add(`${partner}/${effect}/${key}`);
    const rows = undoes
      .map((effect) => ledger.find(partner, effect, key))
      .filter((row) => row !== undefined && !ledger.isUndone(row.reference));
    if (partner === 'payment') {
      const prepared = ledger.find(partner, 'prepare', key);
      if (prepared) payments.cancel(prepared.reference);
    }
    const [main] = rows;
    if (!main) return ok({ outcome: 'nothing-to-undo' });
    const row = write(request, `the ${main.effect} of ${main.subject}`, main.reference);
    return ok({ outcome: 'undone', undoId: row.reference });
  };

  const write = (
    { partner, effect, idempotencyKey, body }: EffectRequest,
    subject: string,
    undoes?: string,
  ): LedgerRow =>
    ledger.record({
      partner,
      effect,
      idempotencyKey,
      orderKey: String(body['orderKey']),
      subject,
      ...(undoes !== undefined && { undoes }),
    });

  const perform = (request: EffectRequest, spec: EffectSpec): Answer => {
    const { partner, effect, idempotencyKey, body } = request;
    if (spec.undoes) return undo(request, spec);
    if (tombstones.has(`${partner}/${effect}/${idempotencyKey}`))
      return problem(409, 'this was undone before it arrived'); // E2
    const refusal = effect === 'capture' ? payments.refusal(String(body['paymentId'])) : undefined;
    if (refusal) return refusal;
    const { reference } = write(request, spec.subject(body));
    if (effect === 'prepare') return prepared(payments.prepare(reference, body), url());
    return ok({ [spec.answers]: reference });
  };

  return {
    /** Shape: what to answer; nothing has happened when it is a problem. */
    perform(request: EffectRequest): Answer {
      const { partner, effect, idempotencyKey, body } = request;
      const spec = EFFECTS[`${partner}/${effect}`];
      if (!spec)
        return problem(404, `there is no ${partner}/${effect}; there are ${Object.keys(EFFECTS).join(', ')}`);
      const parsed = spec.body.safeParse(body);
      if (!parsed.success) {
        const issues = parsed.error.issues.map(
          ({ path, message }) => `${path.join('.') || 'body'}: ${message}`,
        );
        return problem(422, issues.join('; '));
      }
      const key = `${partner}/${effect}/${idempotencyKey}`;
      const bodyHash = hash('sha256', JSON.stringify(body));
      const first = known.get(key);
      if (first && first.bodyHash !== bodyHash)
        return problem(422, 'Idempotency-Key: it was used for another request'); // E1
      if (first) return first.answer;
      const answer = perform(request, spec);
      if (answer.status < 400) known.set(key, { bodyHash, answer });
      return answer;
    },
  };
}

function prepared({ paymentId, state }: Payment, url: string): Answer {
  if (state !== 'requires-action') return ok({ paymentId, status: 'authorised' });
  return ok({ paymentId, status: 'requires-action', challengeUrl: `${url}/3ds/${paymentId}` });
}
