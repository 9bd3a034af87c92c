import type { Notification, NotificationChannel, SendResult } from '../../publisher/campaign/index.ts';

/** A partner that keeps what it was asked for, and one effect for each key, as real ones do. */
export interface RecordingChannel extends NotificationChannel {
  /** Every call, in order. */
  readonly calls: readonly Notification[];
  /** One for each key. */
  readonly effects: ReadonlyMap<string, Notification>;
  /** What happens at the next calls, in place of sending: undefined, it is sent. */
  behave(how: (notification: Notification) => Behaviour | Promise<Behaviour>): void;
  /** What `find` does first. */
  behaveWhenAsked(how: () => Promise<void>): void;
}

/** `lost`: it is sent, and the answer is lost. */
export type Behaviour = SendResult | 'lost' | undefined;

const ADDRESS = /^[^@\s]+@[^@\s]+\.[a-z]+$/i;

export function createRecordingChannel(): RecordingChannel {
  const calls: Notification[] = [];
  const effects = new Map<string, Notification>();
  let next: (notification: Notification) => Behaviour | Promise<Behaviour> = () => undefined;
  let asked = async () => {};
  return {
    name: 'email',
    calls,
    effects,
    behave: (how) => {
      next = how;
    },
    behaveWhenAsked: (how) => {
      asked = how;
    },
    addressKey: (address) => (ADDRESS.test(address) ? address.toLowerCase() : undefined),
    async send(notification) {
      calls.push(notification);
      const behaviour = await next(notification);
      if (behaviour !== undefined && behaviour !== 'lost') return behaviour;
      const key = notification.idempotencyKey;
      if (!effects.has(key)) effects.set(key, notification);
      if (behaviour === 'lost') throw new Error('the connection broke');
      return { kind: 'sent', reference: `mail ${key}` };
    },
    async find({ idempotencyKey }) {
      await asked();
      return effects.has(idempotencyKey) ? `mail ${idempotencyKey}` : undefined;
    },
  };
}
