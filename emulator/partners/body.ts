import type { IncomingMessage } from 'node:http';
import { type Answer, invalid, problem } from './answer.ts';

export const MAX_BODY_BYTES = 64 * 1024;

export type Body<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Answer };

/** Shape: the JSON object that the request brought, or what to answer when it is none. */
export async function readJsonObject(request: IncomingMessage): Promise<Body<Record<string, unknown>>> {
  const text = await readText(request);
  if (!text.ok) return text;
  try {
    const value: unknown = JSON.parse(text.value);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return { ok: true, value: value as Record<string, unknown> };
  } catch {}
  return { ok: false, refusal: invalid(400, [{ field: 'body', detail: 'expected a JSON object' }]) };
}

/** Shape: the text, or what to answer when it is too large; then the rest is left unread and the connection ends. */
export async function readText(request: IncomingMessage): Promise<Body<string>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) {
      const refusal = problem(413, `body: larger than ${MAX_BODY_BYTES} bytes`, { connection: 'close' });
      return { ok: false, refusal };
    }
    chunks.push(chunk);
  }
  return { ok: true, value: Buffer.concat(chunks).toString('utf8') };
}
