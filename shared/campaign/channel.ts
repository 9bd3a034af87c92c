import type { Rendered } from './template.ts';

/** What a channel's addresses are: enough to register, preview, freeze and suppress, without a partner. */
export interface AddressScheme {
  /** The channel: `email`, `push` … */
  readonly name: string;
  /** The same for all ways of writing an address that reach the same person; undefined: it is no address. */
  addressKey(address: string): string | undefined;
}

/** How notifications leave the house: one for each way, and each partner. */
export interface NotificationChannel extends AddressScheme {
  /**
   * Sends one notification. The partner must have one effect however often it is asked with the same key.
   *
   * Errors: whatever is thrown counts as `unknown`.
   */
  send(notification: Notification): Promise<SendResult>;
  /**
   * Asks the partner whether a key had its effect.
   *
   * Shape: its reference; undefined: it had none. Errors: when the partner does not answer; it is asked again.
   */
  find(query: { readonly campaign: string; readonly idempotencyKey: string }): Promise<string | undefined>;
}

export interface Notification extends Rendered {
  readonly campaign: string;
  readonly address: string;
  /** The same for every try of this recipient. */
  readonly idempotencyKey: string;
}

/**
 * What the partner made of it.
 *
 * `refused`: it will never send this one. `busy`: it sent nothing, and wants to rest. `unsent`: nothing reached it. `unknown`:
 * the answer was lost, so it may have been sent.
 */
export type SendResult =
  | { readonly kind: 'sent'; readonly reference: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'busy'; readonly retryAfterMs: number; readonly reason: string }
  | { readonly kind: 'unsent'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What every try of a recipient bears at the partner. */
export function idempotencyKeyOf(campaign: string, recipientId: string): string {
  return `campaign/${campaign}/${recipientId}`;
}
