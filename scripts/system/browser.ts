/** What a customer decides at the bank's 3-D Secure page. */
export type Decision = 'approve' | 'decline';

/**
 * Does what a browser would: opens the bank's page, presses a button of its form, and follows the way back to the shop.
 *
 * Shape: the status that the shop answered with.
 */
export async function decideAtBank(challengeUrl: string, decision: Decision): Promise<number> {
  return returnToShop(await pressAtBank(challengeUrl, decision));
}

/** Opens the bank's page and presses a button of its form. Shape: where the bank sends the customer then. */
export async function pressAtBank(challengeUrl: string, decision: Decision): Promise<string> {
  const page = await fetch(challengeUrl);
  const html = await page.text();
  const [, action] = /<form[^>]*\saction="([^"]+)"/i.exec(html) ?? [];
  if (!page.ok || action === undefined)
    throw new Error(`the bank's page has no form to fill in (status ${page.status})`);
  const answer = await fetch(new URL(action.replaceAll('&amp;', '&'), challengeUrl), {
    method: 'POST',
    body: new URLSearchParams({ decision }),
    redirect: 'manual',
  });
  await answer.body?.cancel();
  const wayBack = answer.headers.get('location');
  if (answer.status !== 303 || wayBack === null)
    throw new Error(`the bank does not send the customer back (status ${answer.status})`);
  return wayBack;
}

/** Follows the way back; a customer whose shop did not answer loads the page again. Shape: the status of the answer. */
export async function returnToShop(wayBack: string): Promise<number> {
  const shop = await fetch(wayBack, { redirect: 'manual' });
  await shop.body?.cancel();
  return shop.status;
}
