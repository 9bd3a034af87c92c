import { payloadDocument } from '../payload.ts';
import type { JobDetail } from './show-job.ts';

/** A job for programs: of the message's data what `dead-letter show` tells as well. */
export function jobDocument({ message, ...job }: JobDetail) {
  if (!message) return { ...job, message: undefined };
  const { data, ...facts } = message;
  return { ...job, message: { ...facts, ...payloadDocument(data) } };
}
