/**
 * The message attribute that names the campaign which a job belongs to; what fences on a campaign look at.
 *
 * Shape: the campaign's id, at most 1024 bytes. Whoever enqueues the job sets it: `attributes: { [CAMPAIGN_ATTRIBUTE]: id }`.
 */
export const CAMPAIGN_ATTRIBUTE = 'throughline-campaign';

/** The campaign that a message's attributes name; undefined: none. */
export function campaignOf(attributes: Readonly<Record<string, string>>): string | undefined {
  return attributes[CAMPAIGN_ATTRIBUTE] || undefined;
}
