import { isUtf8 } from 'node:buffer';

/** A message's data for programs. */
export interface PayloadDocument {
  /** When it is JSON. */
  readonly payload: unknown;
  /** When it is text. */
  readonly payloadText: string | undefined;
  readonly payloadBase64: string;
}

export function payloadDocument(data: Buffer): PayloadDocument {
  const text = textOf(data);
  return { payload: jsonOf(text), payloadText: text, payloadBase64: data.toString('base64') };
}

/** Undefined: it is not text. NUL is no part of a text either. */
export function textOf(data: Buffer): string | undefined {
  return isUtf8(data) && !data.includes(0) ? data.toString('utf8') : undefined;
}

/** Undefined: it is not JSON. */
export function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
