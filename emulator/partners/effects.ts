import { z } from 'zod';

/** What partners do, each effect with the body that it takes. */
export interface EffectSpec {
  readonly body: z.ZodType;
  /** Of the ledger row: what the effect is done to. */
  readonly subject: (body: Record<string, unknown>) => string;
  /** The name under which the answer bears the partner's reference. */
  readonly answers: string;
  /** The effects at this partner that this one undoes, given the key that their calls bore. */
  readonly undoes?: readonly string[];
}

const text = z.string().min(1).max(512);
const orderKey = z.string().min(1).max(128);
const undo = z.looseObject({ orderKey, undoes: text });

function effect(shape: Readonly<Record<string, z.ZodType>>, subject: string, answers: string): EffectSpec {
  return {
    body: z.looseObject({ orderKey, ...shape }),
    subject: (body) => String(body[subject] ?? ''),
    answers,
  };
}

function undoOf(...undoes: readonly string[]): EffectSpec {
  return { body: undo, subject: ({ undoes: key }) => String(key), answers: 'undoId', undoes };
}

/** `POST /v1/{partner}/{effect}`. */
export const EFFECTS: Readonly<Record<string, EffectSpec>> = {
  'account/verify': effect({ email: z.email() }, 'email', 'accountId'),
  'card/redeem': effect({ cardCode: text }, 'cardCode', 'redemptionId'),
  'card/reactivate': undoOf('redeem'),
  'payment/prepare': effect(
    { amountMinor: z.int().min(1), currency: z.string().length(3), returnUrl: z.url() },
    'amountMinor',
    'paymentId',
  ),
  'payment/capture': effect({ paymentId: text }, 'paymentId', 'captureId'),
  'payment/refund': undoOf('capture', 'prepare'),
  'payment/register-card': effect({ paymentId: text }, 'paymentId', 'cardToken'),
  'registrar/acquire': effect({ domain: z.hostname() }, 'domain', 'registrationId'),
  'workspace/set-up': effect({ domain: z.hostname(), email: z.email() }, 'domain', 'customerId'),
  'workspace/tear-down': undoOf('set-up'),
  'mail/send': effect({ email: z.email(), template: text }, 'template', 'messageId'),
};
