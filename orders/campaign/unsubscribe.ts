import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { z } from 'zod';

/** What a template writes where the link to unsubscribe is to be: a field of every segment, filled in when it is sent. */
export const UNSUBSCRIBE_URL = '{{unsubscribeUrl}}';

/** Who clicked, in a notification of which campaign. */
export interface Unsubscription {
  readonly campaign: string;
  readonly channel: string;
  readonly address: string;
}

/**
 * Links by which a recipient unsubscribes.
 *
 * They prove that we made them, and do not show whom they are for: they stand in logs, histories and forwarded mails. They hold
 * all that is needed, so that they work for as long as somebody keeps the mail.
 */
export interface UnsubscribeLinks {
  /** The same for the same recipient, so that a mail that is sent again is the same mail. */
  urlOf(unsubscription: Unsubscription): string;
  /** Shape: undefined when the token is not one of ours. */
  open(token: string): Unsubscription | undefined;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const contents = z.tuple([z.string(), z.string(), z.string()]);

/** `publicUrl`: under which recipients reach the shop. */
export function createUnsubscribeLinks(options: {
  readonly secret: string;
  readonly publicUrl: string;
}): UnsubscribeLinks {
  const keyFor = (purpose: string) =>
    createHmac('sha256', options.secret).update(`unsubscribe ${purpose}`).digest();
  const sealing = keyFor('sealing');
  const naming = keyFor('nonce');
  const publicUrl = options.publicUrl.replace(/\/+$/, '');
  return {
    urlOf({ campaign, channel, address }) {
      const text = JSON.stringify([campaign, channel, address]);
      // It follows from the contents: one nonce never seals two of them.
      const nonce = createHmac('sha256', naming).update(text).digest().subarray(0, NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealing, nonce);
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      const token = Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url');
      return `${publicUrl}/unsubscribe?token=${token}`;
    },
    open(token) {
      const bytes = Buffer.from(token, 'base64url');
      if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', sealing, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        const sealed = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        const [campaign, channel, address] = contents.parse(
          JSON.parse(Buffer.concat([sealed, decipher.final()]).toString('utf8')),
        );
        return { campaign, channel, address };
      } catch {
        return undefined;
      }
    },
  };
}
