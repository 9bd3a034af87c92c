import { z } from 'zod';
import type {
  AddressScheme,
  CampaignCatalogue,
  Notification,
  NotificationChannel,
  SendResult,
} from '../../publisher/campaign/index.ts';
import { PartnerAnswerError, PartnerRefusedError, PartnerUnavailableError } from '../partners/errors.ts';
import type { PartnerCall } from '../partners/partner-client.ts';
import type { Partners } from '../partners/partners.ts';
import { SEGMENTS } from './segments.ts';
import { UNSUBSCRIBE_URL, type UnsubscribeLinks } from './unsubscribe.ts';

const email = z.email();
const pushToken = z.string().regex(/^[A-Za-z0-9_:-]{16,256}$/);

const EMAIL: AddressScheme = {
  name: 'email',
  addressKey: (address) => (email.safeParse(address).success ? address.toLowerCase() : undefined),
};
const PUSH: AddressScheme = {
  name: 'push',
  addressKey: (token) => (pushToken.safeParse(token).success ? token : undefined),
};

/** What the shop's campaigns are made of, without the partners. */
export const CATALOGUE: CampaignCatalogue = { segments: SEGMENTS, channels: [EMAIL, PUSH] };

/**
 * How the shop's campaigns leave the house. Without `links` mails have none to unsubscribe by, and a template that names one is
 * not sent.
 */
export function createChannels(
  { mail, push }: Pick<Partners, 'mail' | 'push'>,
  links: UnsubscribeLinks | undefined,
): NotificationChannel[] {
  return [
    {
      ...EMAIL,
      send: (notification) =>
        linked(EMAIL, links, notification, ({ address, subject, body, unsubscribeUrl, ...call }) =>
          mail.deliver(
            { email: address, subject, text: body, ...(unsubscribeUrl !== undefined && { unsubscribeUrl }) },
            callOf(call),
          ),
        ),
      find: ({ idempotencyKey }) => mail.find('deliver', idempotencyKey),
    },
    {
      ...PUSH,
      send: (notification) =>
        linked(PUSH, links, notification, ({ address, subject, body, ...call }) =>
          push.deliver({ token: address, title: subject, text: body }, callOf(call)),
        ),
      find: ({ idempotencyKey }) => push.find('deliver', idempotencyKey),
    },
  ];
}

interface Linked extends Notification {
  readonly unsubscribeUrl: string | undefined;
}

/** Puts the recipient's own link in. It is made now and not when the audience is frozen: the ledger holds no secret. */
async function linked(
  { name: channel }: AddressScheme,
  links: UnsubscribeLinks | undefined,
  notification: Notification,
  deliver: (linked: Linked) => Promise<{ readonly messageId: string }>,
): Promise<SendResult> {
  const { campaign, address, subject, body } = notification;
  const unsubscribeUrl = links?.urlOf({ campaign, channel, address });
  if (unsubscribeUrl === undefined && body.includes(UNSUBSCRIBE_URL))
    return {
      kind: 'unsent',
      reason: 'no link to unsubscribe: PUBLIC_URL or THROUGHLINE_SIGNING_SECRET is not set',
    };
  const fill = (text: string) => text.replaceAll(UNSUBSCRIBE_URL, unsubscribeUrl ?? '');
  return resultOf(deliver({ ...notification, subject: fill(subject), body: fill(body), unsubscribeUrl }));
}

/** Partners group what they are asked for by order; of a campaign that is its id. */
function callOf({
  campaign,
  idempotencyKey,
}: Pick<Notification, 'campaign' | 'idempotencyKey'>): PartnerCall {
  return { orderKey: campaign, idempotencyKey };
}

/** What a partner's errors say of whether it was sent. */
async function resultOf(call: Promise<{ readonly messageId: string }>): Promise<SendResult> {
  try {
    const { messageId } = await call;
    return { kind: 'sent', reference: messageId };
  } catch (error) {
    if (error instanceof PartnerRefusedError) return { kind: 'refused', reason: error.title };
    if (error instanceof PartnerUnavailableError) return unavailable(error);
    const reason = error instanceof Error ? error.message : String(error);
    // It answered that it was sent, in words that nobody understands: it is asked in ours.
    return {
      kind: 'unknown',
      reason: error instanceof PartnerAnswerError ? reason : `not expected: ${reason}`,
    };
  }
}

function unavailable({ reason: why, effect, message, retryAfterMs }: PartnerUnavailableError): SendResult {
  if (why === 'rate-limit') return { kind: 'busy', retryAfterMs: retryAfterMs ?? 1_000, reason: message };
  return { kind: effect === 'none' ? 'unsent' : 'unknown', reason: message };
}
