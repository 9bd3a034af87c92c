import { humaniseMs } from '../insight/duration.ts';
import { printable } from '../insight/printable.ts';
import type { CampaignView } from '../publisher/campaign/index.ts';
import { printLine, printTable } from './output.ts';

/** A campaign for people: its facts, what has become of its recipients, and what can be done next. */
export function printCampaign(view: CampaignView): void {
  for (const [label, value] of facts(view))
    if (value !== undefined) printLine(`${label.padEnd(11)}${printable(value)}`);
  const { pending, ...settled } = view.recipients;
  const { queued, sending } = view.underWay;
  printLine('');
  printTable(
    ['PENDING', 'QUEUED', 'SENDING', 'SENT', 'SUPPRESSED', 'CANCELLED', 'FAILED', 'UNCERTAIN'],
    [
      [
        ...[pending - queued - sending, queued, sending],
        ...[settled.sent, settled.suppressed, settled.cancelled, settled.failed, settled.uncertain],
      ],
    ],
  );
  if (!view.addsUp) printLine('\nThe ledger does not add up: these are not as many as were frozen.');
  const next = NEXT[view.state];
  if (next !== undefined) printLine(printable(`\nNext: throughline campaign ${next} ${view.id}`));
}

function facts(view: CampaignView): [string, string | undefined][] {
  const { definition, approvedBy, expectedCount, tolerance, frozen, repeated, isFrozen } = view;
  const { quietHours: quiet } = definition;
  const again = repeated === 0 ? '' : `; ${repeated} were in it already`;
  return [
    ['campaign', view.id],
    ['state', view.state],
    ['reason', view.reason],
    ['to', `${definition.segments.join(', ')}; by ${definition.channel}, category ${definition.category}`],
    ['pace', `${definition.perSecond} a second`],
    [
      'quiet',
      quiet && `${quiet.from} to ${quiet.to}, where the recipient lives, or else in ${quiet.timeZone}`,
    ],
    ['created', `${view.createdAt}, by ${view.createdBy}`],
    [
      'expected',
      expectedCount === undefined
        ? undefined
        : `${meant(expectedCount, tolerance)}, approved by ${approvedBy}`,
    ],
    [
      'audience',
      expectedCount === undefined ? undefined : `${frozen} in the ledger${isFrozen ? '' : ' so far'}${again}`,
    ],
    ['starts', view.startedAt === undefined ? view.startsAt : undefined],
    ['started', view.startedAt],
    ['rate', view.perSecond === undefined ? undefined : `${rateOf(view)} so far`],
    ['left', leftOf(view)],
    ['ended', view.endedAt],
    ['trace', view.traceId],
  ];
}

/** What is done most often in a state. */
const NEXT: Partial<Record<CampaignView['state'], string>> = {
  draft: 'preview|approve',
  frozen: 'start',
  running: 'watch',
  paused: 'resume|cancel',
  halted: 'approve|resume|cancel',
};

export function meant(expectedCount: number, tolerance: number): string {
  return `${expectedCount} ± ${Math.round(tolerance * 1_000) / 10} %`;
}

/** Of a campaign that has a rate. */
export function rateOf({ perSecond = 0 }: Pick<CampaignView, 'perSecond'>): string {
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)}/s`;
}

/** Shape: undefined when nothing is sent now, and so nothing can be estimated. */
export function leftOf({ state, secondsLeft }: CampaignView): string | undefined {
  if (state !== 'running' || secondsLeft === undefined) return undefined;
  return `about ${humaniseSeconds(secondsLeft)}`;
}

/** In whole seconds, at least one. */
export function humaniseSeconds(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 60 ? `${whole} s` : humaniseMs(whole * 1_000);
}
