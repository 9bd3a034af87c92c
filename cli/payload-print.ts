import { jsonOf, textOf } from '../console/payload.ts';
import { printable } from '../insight/printable.ts';

const SHOWN_CHARS = 4_000;
const SHOWN_BYTES = 256;

/** JSON is indented; text of other kinds is shown as it is; anything else as bytes. */
export function payloadLines(data: Buffer): string[] {
  const text = textOf(data);
  if (text === undefined) return [`${data.byteLength} bytes, not text:`, ...hexLines(data)];
  const json = jsonOf(text);
  const lines = (json === undefined ? text : JSON.stringify(json, undefined, 2))
    .slice(0, SHOWN_CHARS)
    .split('\n');
  const hasMore = data.byteLength > SHOWN_CHARS;
  return [
    `${data.byteLength} bytes, ${json === undefined ? 'text, not JSON' : 'JSON'}:`,
    ...lines.map(
      (line) => `  ${line.search(/\S/) > 0 ? ' '.repeat(line.search(/\S/)) : ''}${printable(line.trim())}`,
    ),
    ...(hasMore ? ['  … see --json for all of it'] : []),
  ];
}

function hexLines(data: Buffer): string[] {
  const shown = data.subarray(0, SHOWN_BYTES);
  const lines: string[] = [];
  for (let at = 0; at < shown.byteLength; at += 16) {
    const row = shown.subarray(at, at + 16);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = [...row]
      .map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.'))
      .join('');
    lines.push(`  ${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${ascii}`);
  }
  if (data.byteLength > SHOWN_BYTES) lines.push('  … see --json for all of it');
  return lines;
}
