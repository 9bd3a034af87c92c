import { clip, printable, widthOf } from '../insight/printable.ts';
import type { CampaignView } from '../publisher/campaign/index.ts';
import { leftOf, meant, rateOf } from './campaign-print.ts';

/** How far a campaign is: of those expected while it is frozen, of those frozen afterwards. */
export function shareOf(view: CampaignView): number {
  const { isFrozen, frozen, expectedCount = 0, recipients, state } = view;
  if (state === 'finished') return 1;
  const [done, all] = isFrozen
    ? [frozen - recipients.pending - recipients.uncertain, frozen]
    : [frozen, expectedCount];
  return all === 0 ? 0 : Math.min(1, done / all);
}

/** For a log: one line. */
export function progressLine(view: CampaignView): string {
  return printable(`${headline(view)}  ${counts(view)}`);
}

const WIDEST_BAR = 40;
const NARROWEST_BAR = 5;

/** For a terminal of so many columns: two lines, none of which is broken by it. */
export function progressLines(view: CampaignView, columns: number): readonly string[] {
  const text = printable(`${view.id}  ${headline(view)}`);
  const width = Math.min(WIDEST_BAR, columns - widthOf(text) - 3);
  const bar = width < NARROWEST_BAR ? '' : `${barOf(shareOf(view), width)}  `;
  // The last column stays free: some terminals break the line when it is filled.
  return [bar + text, printable(counts(view))].map((line) => clip(line, columns - 1));
}

/** Full only when nothing is left. */
function barOf(share: number, width: number): string {
  const full = Math.floor(share * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

function headline(view: CampaignView): string {
  const { state, reason, perSecond, expectedCount } = view;
  const left = leftOf(view);
  const parts = [
    state,
    // Rounded down: never 100 % as long as anybody is left.
    expectedCount === undefined ? undefined : `${(Math.floor(shareOf(view) * 1_000) / 10).toFixed(1)} %`,
    state === 'running' && perSecond !== undefined ? rateOf(view) : undefined,
    left && `${left} left`,
    reason,
  ];
  return parts.filter((part) => part !== undefined).join('  ');
}

function counts({ frozen, isFrozen, expectedCount, tolerance, recipients, underWay }: CampaignView): string {
  if (expectedCount === undefined) return 'not approved yet';
  if (!isFrozen) return `${frozen} frozen, ${meant(expectedCount, tolerance)} expected`;
  const { pending, sent, suppressed, cancelled, failed, uncertain } = recipients;
  const inside = `${underWay.queued} queued, ${underWay.sending} sending`;
  const seldom = Object.entries({ suppressed, cancelled, failed, uncertain }).filter(
    ([, count]) => count > 0,
  );
  const others = seldom.map(([state, count]) => `, ${count} ${state}`).join('');
  return `${frozen} recipients: ${sent} sent, ${pending} pending (${inside})${others}`;
}
