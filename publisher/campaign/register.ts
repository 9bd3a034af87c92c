import { SpanKind } from '@opentelemetry/api';
import type { AddressScheme } from '../../shared/campaign/channel.ts';
import { type Rendered, render } from '../../shared/campaign/template.ts';
import { auditAction } from '../../shared/operator-action.ts';
import type { Database } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { CAMPAIGN_ID } from '../../shared/trace/semconv.ts';
import { toCandidate } from './audience.ts';
import { readCampaign } from './campaign-rows.ts';
import { type CampaignDefinition, checkDefinition } from './definition.ts';
import { CampaignExistsError, CampaignInputError } from './errors.ts';
import { checkOperator, type Operator } from './operator.ts';
import { countAudience, findSegments, type Segment } from './segment.ts';
import { type CampaignView, viewCampaign } from './view.ts';

/** What campaigns are made of, in this house. */
export interface CampaignCatalogue {
  readonly segments: readonly Segment[];
  readonly channels: readonly AddressScheme[];
}

export interface RegisterOptions extends CampaignCatalogue, Operator {
  /** Of any origin: a file, a request. */
  readonly definition: unknown;
}

/**
 * Registers a campaign as a draft: checked, stored and audited; nobody is written to.
 *
 * Errors: CampaignInputError with everything that is wrong with the definition; CampaignExistsError; DatabaseUnavailableError.
 */
export async function registerCampaign(database: Database, options: RegisterOptions): Promise<CampaignView> {
  const { segments, channels, actor, via } = options;
  checkOperator('campaign create', options);
  const definition = checkDefinition(options.definition, {
    segments,
    channels: channels.map(({ name }) => name),
  });
  await checkTimeZone(database, definition);
  const attributes = { [CAMPAIGN_ID]: definition.id };
  return inSpan('operate campaign.create', { kind: SpanKind.INTERNAL, attributes }, async () => {
    await database.transaction(async (tx) => {
      const { rowCount } = await tx.query(
        `INSERT INTO throughline.campaign (id, channel, category, definition, tolerance, created_by)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING`,
        [
          definition.id,
          definition.channel,
          definition.category,
          JSON.stringify(definition),
          definition.tolerance,
          actor,
        ],
      );
      if (rowCount === 0) await refuseSecond(tx, definition.id);
      const { id: target, ...details } = definition;
      await auditAction(tx, { actor, via, action: 'campaign.create', target, reason: undefined, details });
    });
    return viewCampaign(database, definition.id);
  });
}

/** PostgreSQL has a list of its own, and a name that it does not know would fail whoever sends. */
async function checkTimeZone(client: SqlClient, { quietHours }: CampaignDefinition): Promise<void> {
  if (!quietHours) return;
  const { rows } = await client.query('SELECT FROM pg_timezone_names WHERE name = $1', [quietHours.timeZone]);
  if (rows.length === 0)
    throw new CampaignInputError('campaign', [
      `quietHours.timeZone: PostgreSQL knows no time zone ${quietHours.timeZone}`,
    ]);
}

async function refuseSecond(tx: SqlClient, id: string): Promise<never> {
  const { created_by: actor, created_at } = await readCampaign(tx, id);
  throw new CampaignExistsError(id, { actor, at: created_at.toISOString() });
}

export interface PreviewSample extends Rendered {
  readonly recipientId: string;
  readonly address: string;
}

export interface CampaignPreview {
  readonly campaign: CampaignView;
  /** How many recipients there are now, each counted once; those that cannot be reached included. */
  readonly audience: number;
  readonly segments: readonly { readonly name: string; readonly count: number }[];
  /** What the first recipients would get. */
  readonly samples: readonly PreviewSample[];
  /** Of those looked at for samples: who would get nothing, and why. */
  readonly unreachable: readonly { readonly recipientId: string; readonly problem: string }[];
}

const SAMPLES = 10;
/** They make no difference to what is rendered. */
const NO_TIME_ZONES: ReadonlySet<string> = new Set();
/** How many are looked at for samples. */
const LOOKED_AT = 100;

/**
 * A dry run: nothing is sent, nothing is changed.
 *
 * Errors: UnknownCampaignError; CampaignInputError when a segment or channel is gone; DatabaseUnavailableError, and what
 * PostgreSQL says to a segment's query.
 */
export async function previewCampaign(
  client: SqlClient,
  { campaignId, segments, channels }: CampaignCatalogue & { readonly campaignId: string },
): Promise<CampaignPreview> {
  const { definition } = await readCampaign(client, campaignId);
  const { segments: own, channel } = partsOf(definition, { segments, channels });
  const { distinct, each } = await countAudience(client, own);
  const candidates = (
    await Promise.all(own.map((segment) => segment.page(client, { after: undefined, limit: LOOKED_AT })))
  )
    .flat()
    .map((row) => toCandidate(row, definition.template, channel, NO_TIME_ZONES));
  const first = [...new Map(candidates.map((one) => [one.recipientId, one])).values()];
  return {
    campaign: await viewCampaign(client, campaignId),
    audience: distinct,
    segments: own.map(({ name }, index) => ({ name, count: each[index] ?? 0 })),
    samples: first
      .filter(({ problem }) => problem === undefined)
      .slice(0, SAMPLES)
      .map(({ recipientId, address, fields }) => ({
        ...{ recipientId, address },
        ...render(definition.template, fields),
      })),
    unreachable: first
      .flatMap(({ recipientId, problem }) => (problem === undefined ? [] : [{ recipientId, problem }]))
      .slice(0, SAMPLES),
  };
}

/** Errors: CampaignInputError when this process has not what the campaign needs. */
export function partsOf(
  { channel: name, segments: names }: CampaignDefinition,
  { segments, channels }: CampaignCatalogue,
): { readonly segments: readonly Segment[]; readonly channel: AddressScheme } {
  const { found, unknown } = findSegments(segments, names);
  const channel = channels.find((one) => one.name === name);
  if (unknown.length > 0 || !channel)
    throw new CampaignInputError('campaign', [
      ...unknown.map((one) => `segments: there is no ${one} any more`),
      ...(channel ? [] : [`channel: there is no ${name} any more`]),
    ]);
  return { segments: found, channel };
}
