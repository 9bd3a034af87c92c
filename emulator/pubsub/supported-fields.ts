import { unsupported } from './status.ts';

/**
 * Refuses fields that are set but that this emulator would have to ignore. Empty values count as not set: clients send
 * them by default (an empty push configuration makes a pull subscription).
 */
export function refuseFields(resource: object, refused: Readonly<Record<string, string>>): void {
  for (const [field, value] of Object.entries(resource)) {
    const what = refused[field];
    if (what && !isBlank(value)) throw unsupported(what);
  }
}

function isBlank(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false || value === 0) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.values(value).every(isBlank);
}
