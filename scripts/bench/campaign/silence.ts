import { cancelCampaign } from '../../../publisher/campaign/index.ts';
import { addCustomers, freeze, start, until } from './campaign-run.ts';
import { openHouse } from './house.ts';
import type { Stage } from './stage.ts';

/** What came after a campaign was cancelled at full rate. */
export interface SilenceRun {
  /** From the call of cancel until the partner had its last effect; 0: none came after the call. */
  readonly cancelToSilenceMs: number;
  /** Until cancel returned. */
  readonly cancelReturnsMs: number;
  /** Effects after cancel had returned: none may be. */
  readonly afterReturn: number;
}

const CAMPAIGN = 'cancelled-terms';

/** Errors: when somebody was sent to after it had returned. */
export async function cancelToSilence(stage: Stage, round: number): Promise<SilenceRun> {
  const { databases, receiver, size, onProgress } = stage;
  const { workers, recipients } = size.cancel;
  const name = `silence_${round}`;
  const house = await openHouse({ ...{ databases, name, workers }, otlpEndpoint: receiver.endpointOf(name) });
  try {
    await addCustomers(house.database, recipients);
    await freeze(house.database, CAMPAIGN, recipients);
    await start(house.database, CAMPAIGN);
    await until(house.database, CAMPAIGN, (view) => view.recipients.sent > recipients / 4);
    const calledMs = Date.now();
    await cancelCampaign(house.database, { campaignId: CAMPAIGN, actor: 'bench', reason: 'measured' });
    const returnedMs = Date.now();
    const { effects: atReturn } = await house.sandbox.summary(CAMPAIGN);
    const end = await until(house.database, CAMPAIGN, ({ endedAt }) => endedAt !== undefined);
    const { effects, lastEffectAt = '' } = await house.sandbox.summary(CAMPAIGN);
    if (effects !== atReturn || effects !== end.recipients.sent || !end.addsUp)
      throw new Error(
        `${atReturn} effects when cancel returned, then ${effects}: ${JSON.stringify(end.recipients)}`,
      );
    const run = {
      cancelToSilenceMs: Math.max(0, Date.parse(lastEffectAt) - calledMs),
      cancelReturnsMs: returnedMs - calledMs,
      afterReturn: effects - atReturn,
    };
    onProgress(
      `round ${round + 1}  cancelled after ${effects} of ${recipients}: silent after ${run.cancelToSilenceMs} ms, returned after ${run.cancelReturnsMs}`,
    );
    return run;
  } finally {
    await house.close();
  }
}
