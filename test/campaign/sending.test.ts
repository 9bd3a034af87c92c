import { expect, test } from 'vitest';
import { type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';

/** Campaigns over a real emulator and database: what is sent, to whom, how often. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

test('sends to everybody once, and ends', async () => {
  await lab.addCustomers(120);
  await lab.everything();
  await lab.approve();
  await lab.start();
  const view = await lab.until(({ endedAt }) => endedAt !== undefined);
  expect(view).toMatchObject({
    state: 'finished',
    frozen: 120,
    addsUp: true,
    recipients: { sent: 120, pending: 0, failed: 0, uncertain: 0, suppressed: 0, cancelled: 0 },
  });
  expect(lab.mail.calls).toHaveLength(120);
  expect(new Set(lab.mail.calls.map(({ address }) => address)).size).toBe(120);
  expect(lab.mail.calls[0]).toMatchObject({ subject: 'New terms', body: 'Dear Ann, they are new.' });
});
