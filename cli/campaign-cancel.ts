import { type Command, InvalidArgumentError } from 'commander';
import { humaniseMs } from '../insight/duration.ts';
import { type CampaignView, type CancelReceipt, cancelCampaign } from '../publisher/campaign/index.ts';
import { addOperateOptions, type OperateOptions } from './campaign-operate.ts';
import { EXIT } from './failure.ts';

interface CancelOptions extends OperateOptions {
  readonly reason: string;
  readonly silenceWithin: number;
}

const DEFAULT_SILENCE_S = 30;

/** `throughline campaign cancel ID` */
export function addCampaignCancel(campaign: Command): void {
  const command = campaign
    .command('cancel')
    .description('end it for good: once this has returned, nobody is sent to any more, by any process')
    .requiredOption('--reason <text>', 'why; kept with the campaign and with every recipient that it spares')
    .option(
      '--silence-within <s>',
      "how long to wait for those inside a partner's call, in s",
      readSeconds,
      DEFAULT_SILENCE_S,
    )
    .addHelpText('after', HELP);
  addOperateOptions<CancelOptions>(command, {
    action: 'cancel',
    question: (_, view) => question(view),
    async act(database, asked, { reason, silenceWithin }) {
      const silenceWithinMs = silenceWithin * 1_000;
      const receipt = await cancelCampaign(database, { ...asked, reason, silenceWithinMs });
      const { campaign, silentAfterMs, stillInside } = receipt;
      if (stillInside > 0) process.exitCode = EXIT.attention;
      return {
        campaign,
        told: told(receipt),
        more: { silentAfterMs: Math.round(silentAfterMs), stillInside },
      };
    },
  });
}

const HELP = `
Exit code 3: it is cancelled, and somebody may still be inside a partner's call after that time.

Examples:
  $ throughline campaign cancel autumn-terms --reason "sent to the wrong segment"
  $ throughline campaign cancel autumn-terms --reason "ticket 4711" --yes --json`;

function question({ id, state, recipients: { sent, pending, uncertain } }: CampaignView): string {
  const asked = uncertain === 0 ? '' : `, ${uncertain} are uncertain`;
  return `Campaign ${id} is ${state}: ${sent} recipients were sent to${asked}, ${pending} are pending.\nEnd it for good? Those who are pending will never be sent to, and it cannot be resumed.`;
}

function told({ campaign: { id }, silentAfterMs, stillInside }: CancelReceipt): string {
  const cancelled = `Campaign ${id} is cancelled for good`;
  if (stillInside === 0)
    return `${cancelled}: after ${humaniseMs(silentAfterMs)} nobody was inside a partner's call; not one more leaves.`;
  return `${cancelled}, nobody is begun with any more; ${stillInside} may still be inside a partner's call after ${humaniseMs(silentAfterMs)}. They end as sent, or are asked about.`;
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds <= 3_600) return seconds;
  throw new InvalidArgumentError('It must be a number from 0 to 3600.');
}
