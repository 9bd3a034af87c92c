import { SpanKind } from '@opentelemetry/api';
import { z } from 'zod';
import { inSpan } from '../../shared/index.ts';
import { PartnerUnavailableError } from './errors.ts';
import type { PartnerClientOptions } from './partner-client.ts';
import { get } from './post.ts';

const found = z.object({ reference: z.string().min(1) });

/** Asks a partner whether an idempotency key had its effect. */
export type LookUp = (effect: string, idempotencyKey: string) => Promise<string | undefined>;

/**
 * For whoever lost an answer.
 *
 * Shape:  the partner's reference; undefined: the key had no effect. Errors: PartnerUnavailableError: it did not say.
 */
export function createLookUp(partner: string, { baseUrl, timeoutMs = 5_000 }: PartnerClientOptions): LookUp {
  const base = `${baseUrl.replace(/\/+$/, '')}/v1/${partner}/effects`;
  return (effect, idempotencyKey) =>
    inSpan(
      `${partner}.look-up`,
      { kind: SpanKind.CLIENT, attributes: { 'peer.service': partner, 'partner.effect': effect } },
      async () => {
        const url = `${base}/${encodeURIComponent(idempotencyKey)}?effect=${encodeURIComponent(effect)}`;
        const { status, answer, title } = await get(url, { timeoutMs }).catch((cause) => {
          throw new PartnerUnavailableError(partner, 'no answer', {
            cause,
            reason: 'no-answer',
            effect: 'none',
          });
        });
        if (status === 404) return undefined;
        const parsed = found.safeParse(answer);
        if (status === 200 && parsed.success) return parsed.data.reference;
        const reason = status === 429 ? 'rate-limit' : 'error';
        throw new PartnerUnavailableError(partner, title, { reason, effect: 'none' });
      },
    );
}
