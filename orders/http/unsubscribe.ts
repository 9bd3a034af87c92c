import type { Request, RequestHandler, Response } from 'express';
import {
  EVERY_CATEGORY,
  suppress,
  UnknownCampaignError,
  viewCampaign,
} from '../../publisher/campaign/index.ts';
import { ProblemError, parseOrRefuse } from '../../shared/http/problem.ts';
import type { Database } from '../../shared/storage/database.ts';
import { CATALOGUE } from '../campaign/channels.ts';
import type { UnsubscribeLinks, Unsubscription } from '../campaign/unsubscribe.ts';
import { unsubscribeQuerySchema } from './openapi.ts';

export interface UnsubscribeOptions {
  readonly database: Database;
  readonly links: UnsubscribeLinks;
}

/**
 * Unsubscribing from a category of campaigns. Opening the link (GET) only asks: mail scanners open every link. Mail programs and
 * the page's button POST, and that does it; twice is as good as once.
 *
 * Source: RFC 8058, one-click unsubscription.
 */
export function createUnsubscribe({ database, links }: UnsubscribeOptions): {
  readonly ask: RequestHandler;
  readonly take: RequestHandler;
} {
  const opened = (request: Request): Unsubscription => {
    const { token } = parseOrRefuse(unsubscribeQuerySchema, request.query, 'query');
    const unsubscription = links.open(token);
    if (unsubscription) return unsubscription;
    throw new ProblemError(403, 'token-not-ours', 'the link was not made by this shop, or is not complete');
  };
  return {
    async ask(request, response) {
      const category = await categoryOf(database, opened(request));
      page(
        response,
        'Unsubscribe?',
        `<p>We would write to you ${KINDS(category)} no more.</p><form method="post"><button>Unsubscribe</button></form>`,
      );
    },
    async take(request, response) {
      const { address, channel: name, campaign } = opened(request);
      const channel = CATALOGUE.channels.find((one) => one.name === name);
      if (!channel) throw new ProblemError(404, 'no-such-channel', 'we do not write this way any more');
      const category = await categoryOf(database, { campaign });
      await suppress(database, {
        ...{ channel, address, category, via: 'http' },
        ...{ actor: 'recipient', reason: `unsubscribed, from campaign ${campaign}` },
      });
      page(response, 'Unsubscribed', `<p>We write to you ${KINDS(category)} no more.</p>`);
    },
  };
}

const KINDS = (category: string) => (category === EVERY_CATEGORY ? 'like this' : `about “${category}”`);

/** Of a campaign that nobody knows any more: rather nothing at all than what was not wanted. */
async function categoryOf(
  database: Database,
  { campaign }: Pick<Unsubscription, 'campaign'>,
): Promise<string> {
  try {
    return (await viewCampaign(database, campaign)).definition.category;
  } catch (error) {
    if (error instanceof UnknownCampaignError) return EVERY_CATEGORY;
    throw error;
  }
}

/** Nothing in it was chosen by a stranger: categories are lower-case words. The address holds the token: nobody is told it. */
function page(response: Response, title: string, body: string): void {
  response
    .set({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
      'x-robots-tag': 'noindex',
    })
    .type('html')
    .send(
      `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1>${body}</html>`,
    );
}
