import { type Attributes, ROOT_CONTEXT, SpanStatusCode } from '@opentelemetry/api';
import { type LedgerTally, publicTally, RECIPIENT_STATES } from '../../shared/campaign/recipient.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { type Carrier, spanContextOf } from '../../shared/trace/carrier.ts';
import { emitReservedSpan, reservedContext, reserveSpan } from '../../shared/trace/durable-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { CAMPAIGN_COUNT, CAMPAIGN_ID, CAMPAIGN_STATE } from '../../shared/trace/semconv.ts';
import type { CampaignRow } from './campaign-rows.ts';
import { ITSELF } from './change-state.ts';
import type { CampaignState } from './state.ts';

/**
 * The campaign with its span reserved: an operator whose process traces nothing (the command line without an endpoint) has
 * reserved none, and recipients' jobs would have nothing to be linked to.
 */
export async function withSpan(tx: SqlClient, campaign: CampaignRow): Promise<CampaignRow> {
  if (spanContextOf(campaign.span?.self) || campaign.state !== 'freezing') return campaign;
  const span = reserveSpan(`campaign ${campaign.id}`, {
    parent: ROOT_CONTEXT,
    attributes: { [CAMPAIGN_ID]: campaign.id },
    ...(campaign.approved_at && { startMs: campaign.approved_at.getTime() }),
  });
  if (!spanContextOf(span.self)) return campaign;
  await tx.query('UPDATE throughline.campaign SET span = $2 WHERE number = $1', [
    campaign.number,
    JSON.stringify(span),
  ]);
  return { ...campaign, span };
}

/** Told once the audience is complete, with the time that it took: a campaign's own trace does not grow with its audience. */
export function tellFreezing({ id, span }: CampaignRow, frozen: number): void {
  if (!span) return;
  const freezing = reserveSpan(`freeze ${id}`, { parent: reservedContext(span), startMs: span.startMs });
  emitReservedSpan(freezing, { attributes: { [CAMPAIGN_ID]: id, [`${CAMPAIGN_COUNT}.frozen`]: frozen } });
}

/** The campaign's span: from its approval to its end, with what was done to it and what became of its recipients. */
export async function tellCampaign(
  client: SqlClient,
  { id, span, reason }: CampaignRow,
  state: CampaignState,
  tally: LedgerTally,
): Promise<void> {
  if (!span) return;
  const counts = publicTally(tally);
  const actions = await readActions(client, id);
  emitReservedSpan(span, {
    attributes: {
      [CAMPAIGN_ID]: id,
      [CAMPAIGN_STATE]: state,
      ...Object.fromEntries(RECIPIENT_STATES.map((one) => [`${CAMPAIGN_COUNT}.${one}`, counts[one]])),
    },
    links: links(...actions.map(({ carrier }) => linkTo(spanContextOf(carrier), 'caused-by'))),
    events: actions.map(({ action, at, actor, reason: why }) => ({
      name: action,
      timeMs: at.getTime(),
      attributes: { actor, ...(why !== null && { reason: why }) } satisfies Attributes,
    })),
    ...(state === 'cancelled' && {
      status: { code: SpanStatusCode.ERROR, message: `cancelled: ${reason ?? 'no reason given'}` },
    }),
  });
}

interface Action {
  readonly action: string;
  readonly at: Date;
  readonly actor: string;
  readonly reason: string | null;
  readonly carrier: Carrier;
}

/** The first ones: a campaign that is paused and resumed all day keeps its span readable. */
const MAX_ACTIONS = 100;

async function readActions(client: SqlClient, id: string): Promise<Action[]> {
  const { rows } = await client.query<Action & Record<string, unknown>>(
    `SELECT action, at, actor, reason, CASE WHEN actor = $2 THEN '{}'::json ELSE carrier END AS carrier
     FROM throughline.operator_action WHERE target = $1 AND starts_with(action, 'campaign.') ORDER BY id LIMIT ${MAX_ACTIONS}`,
    [id, ITSELF],
  );
  return rows;
}
