import { SpanStatusCode, trace } from '@opentelemetry/api';
import { startTelemetry } from '../../../shared/index.ts';
import type { Assignment } from './assignment.ts';
import { byHand, type Within } from './by-hand.ts';
import type { Contender } from './contender.ts';
import { groupCommit } from './group-commit.ts';

/** The group commit with as many spans as Throughline's, exported the same way: what tracing alone leaves of the limit. */
export async function tracedGroupCommit({ databaseUrl, otlpEndpoint }: Assignment): Promise<Contender> {
  const telemetry = startTelemetry({ serviceName: 'bench', otlpEndpoint });
  const loop = await byHand({ databaseUrl, connections: 1, storeIn: groupCommit, within: withinSpan });
  return {
    ...loop,
    async close() {
      await loop.close();
      await telemetry.shutdown();
    },
  };
}

const withinSpan: Within = (name, work) =>
  trace.getTracer('by hand').startActiveSpan(name, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
      throw error;
    } finally {
      span.end();
    }
  });
