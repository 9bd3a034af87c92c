import { z } from 'zod';
import { templateProblems } from '../../shared/campaign/template.ts';
import { findUnstorable, STORABLE } from '../../shared/storable.ts';
import { CampaignInputError } from './errors.ts';
import { findSegments, type Segment } from './segment.ts';

const SLUG = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const slug = z
  .string()
  .max(64)
  .regex(SLUG, 'expected lower-case words joined by dashes, at most 64 characters');
const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time of day like 22:00');
const timeZone = z.string().refine(isTimeZone, 'expected a time zone by its IANA name, like Europe/Berlin');

/** One notification to many, as an operator registers it. */
export const campaignDefinitionSchema = z.strictObject({
  id: slug,
  /** The channel's name. */
  channel: slug,
  /** What recipients unsubscribe from. */
  category: slug,
  /** Who is in several of them is one recipient. */
  segments: z.array(slug).min(1).max(50),
  template: z.strictObject({
    /** Empty for channels that have none. */
    subject: z
      .string()
      .max(500)
      .regex(/^[^\r\n]*$/, 'expected one line')
      .default(''),
    body: z.string().min(1).max(100_000),
  }),
  /** Recipients per second, all workers together. */
  perSecond: z.number().min(0.01).max(100_000),
  /** Not before, however early it is started. */
  startsAt: z.iso
    .datetime({ offset: true })
    .refine((at) => at >= '2000', 'expected a year from 2000 on')
    .exactOptional(),
  /** Nothing is sent between these times of day, where the recipient lives, or else in this time zone. */
  quietHours: z
    .strictObject({ from: time, to: time, timeZone })
    .refine(({ from, to }) => from !== to, 'expected two times that differ')
    .exactOptional(),
  /** By which part of the expected count the real one may be off before the campaign halts. */
  tolerance: z.number().min(0).max(1).default(0.01),
  /** Which part of what was tried lately may fail, or be uncertain, before the campaign halts. */
  maxFailureShare: z.number().min(0).max(1).default(0.05),
});

export type CampaignDefinition = z.output<typeof campaignDefinitionSchema>;
export type CampaignDefinitionInput = z.input<typeof campaignDefinitionSchema>;

/** What definitions are checked against. */
export interface CampaignParts {
  readonly segments: readonly Segment[];
  /** Names of channels. */
  readonly channels: readonly string[];
}

/** Errors: CampaignInputError with everything that is wrong. */
export function checkDefinition(given: unknown, { segments, channels }: CampaignParts): CampaignDefinition {
  const parsed = campaignDefinitionSchema.safeParse(given);
  if (!parsed.success)
    throw new CampaignInputError(
      'campaign',
      parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'definition'}: ${message}`),
    );
  const definition = parsed.data;
  const { found, unknown } = findSegments(segments, definition.segments);
  const unstorable = findUnstorable(JSON.stringify(definition));
  const issues = [
    ...(channels.includes(definition.channel)
      ? []
      : [`channel: there is no ${definition.channel}; there are ${channels.join(', ')}`]),
    ...unknown.map(
      (name) => `segments: there is no ${name}; there are ${segments.map((one) => one.name).join(', ')}`,
    ),
    ...(unknown.length === 0 ? templateProblems(definition.template, commonFields(found)) : []),
    ...(unstorable === undefined ? [] : [`${unstorable}: ${STORABLE}`]),
  ];
  if (issues.length > 0) throw new CampaignInputError('campaign', issues);
  return definition;
}

/** Fields that every one of the segments has. */
function commonFields(segments: readonly Segment[]): string[] {
  const [first, ...rest] = segments;
  return (first?.fields ?? []).filter((field) => rest.every(({ fields }) => fields.includes(field)));
}

const known = new Map<string, boolean>();

/** Whether both we and PostgreSQL know it: its offset alone (`+02`) and abbreviations are refused. */
export function isTimeZone(name: string): boolean {
  const cached = known.get(name);
  if (cached !== undefined) return cached;
  let is = /^[A-Za-z_]+(\/[A-Za-z0-9_+-]+)*$/.test(name) && (name.includes('/') || name === 'UTC');
  if (is) {
    try {
      new Intl.DateTimeFormat('en', { timeZone: name });
    } catch {
      is = false;
    }
  }
  if (known.size < 1_000) known.set(name, is);
  return is;
}
