import type { LetterView } from '../subscriber/index.ts';
import { payloadDocument } from './payload.ts';

/** A dead letter for programs, with the whole payload. */
export function letterDocument({ data, ...letter }: LetterView) {
  return { ...letter, ...payloadDocument(data) };
}
