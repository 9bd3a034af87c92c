import { fileURLToPath } from 'node:url';
import { startOtlpReceiver } from '../../console/otlp-receiver.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { runToEnd } from './child-process.ts';

export interface GoogleClientRequest {
  readonly emulatorHost: string;
  readonly projectId: string;
  readonly topic: string;
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

const MAIN = fileURLToPath(new URL('google-client-main.ts', import.meta.url));

/** Publishes in a process that traces with Google's client; resolves with its spans once it has ended. */
export async function publishWithGooglesTracing(request: GoogleClientRequest): Promise<SpanRecord[]> {
  const spans: SpanRecord[] = [];
  const receiver = await startOtlpReceiver({ onSpans: (received) => void spans.push(...received) });
  try {
    const { exitCode, stderr } = await runToEnd(process.execPath, [
      MAIN,
      JSON.stringify({ ...request, otlpEndpoint: receiver.endpoint }),
    ]);
    if (exitCode !== 0) throw new Error(`publishing failed: ${stderr}`);
    return spans;
  } finally {
    await receiver.close();
  }
}
