import type { DiagLogger } from '@opentelemetry/api';
import type { Scrub } from '../../scrub.ts';

const MAX_DIAGNOSTIC_CHARS = 1_000;

/** Stdout belongs to the program's own output. */
export function stderrDiagnostics(scrub: Scrub): DiagLogger {
  // A receiver's whole answer may be in it, page after page of a proxy's HTML.
  const tell = (message: string) =>
    process.stderr.write(`opentelemetry: ${scrub(plain(message).slice(0, MAX_DIAGNOSTIC_CHARS))}\n`);
  return { error: tell, warn: tell, info: () => {}, debug: () => {}, verbose: () => {} };
}

/** The SDK tells an error as JSON, stack and all. */
function plain(message: string): string {
  if (!message.startsWith('{')) return message;
  try {
    const { name, message: text } = JSON.parse(message) as { name?: unknown; message?: unknown };
    return typeof text === 'string' ? `${String(name)}: ${text}` : message;
  } catch {
    return message;
  }
}
