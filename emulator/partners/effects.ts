import { z } from 'zod';

/** What partners do, each effect with the body that it takes. */
export interface EffectSpec {
  readonly body: z.ZodType;
  /** Of the ledger row: what the effect is done to. */
  readonly subject: (body: Record<string, unknown>) => string;
  /** The name under which the answer bears the partner's reference. */
  readonly answers: string;
  /** The effects at this partner that this one undoes, given the key that their calls bore; what stands for them first. */
  readonly undoes?: readonly string[];
}

const text = z.string().min(1).max(512);
const longText = z.string().min(1).max(200_000);
const orderKey = z.string().min(1).max(128);
/** Where a browser is sent to: nothing but a web page. */
const webPage = z.url({ protocol: /^https?$/, error: 'expected an http:// or https:// address' });
const currency = z.string().regex(/^[A-Z]{3}$/, 'expected three capital letters, for example EUR');

function effect(shape: Readonly<Record<string, z.ZodType>>, subject: string, answers: string): EffectSpec {
  return {
    body: z.strictObject({ orderKey, ...shape }),
    subject: (body) => String(body[subject] ?? ''),
    answers,
  };
}

function undoOf(...undoes: readonly string[]): EffectSpec {
  return {
    body: z.strictObject({ orderKey, undoes: text }),
    subject: ({ undoes: key }) => String(key),
    answers: 'undoId',
    undoes,
  };
}

/** `POST /v1/{partner}/{effect}`. */
export const EFFECTS: Readonly<Record<string, EffectSpec>> = {
  'account/verify': effect({ email: z.email() }, 'email', 'accountId'),
  'card/redeem': effect({ cardCode: text }, 'cardCode', 'redemptionId'),
  'card/reactivate': undoOf('redeem'),
  'payment/prepare': effect(
    { amountMinor: z.int().min(1), currency, returnUrl: webPage },
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
  'mail/deliver': effect(
    { email: z.email(), subject: text, text: longText, unsubscribeUrl: webPage.optional() },
    'email',
    'messageId',
  ),
  'push/deliver': effect({ token: text, title: text, text: longText }, 'token', 'messageId'),
};

/** Shape: undefined when no partner does that. */
export function effectSpec(partner: string, effect: string): EffectSpec | undefined {
  const name = `${partner}/${effect}`;
  return Object.hasOwn(EFFECTS, name) ? EFFECTS[name] : undefined;
}

/** The names of a partner's effects, in the order in which an order causes them. */
export function effectsOf(partner: string): string[] {
  return Object.keys(EFFECTS)
    .filter((name) => name.startsWith(`${partner}/`))
    .map((name) => name.slice(partner.length + 1));
}
