import { randomUUID } from 'node:crypto';

/** A time-ordered UUID: rows that are made together lie together. Source: RFC 9562, section 5.7. */
export function uuidV7(nowMs = Date.now()): string {
  const time = nowMs.toString(16).padStart(12, '0');
  // Node draws the random bits of many version 4 UUIDs at once; time and version replace its first 52 bits.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
