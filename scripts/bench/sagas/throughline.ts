import { z } from 'zod';
import { createSagaEngine, defineSaga } from '../../../publisher/saga/index.ts';
import { startTelemetry } from '../../../shared/index.ts';
import { openDatabase } from '../../../shared/storage/index.ts';
import type { Assignment } from './assignment.ts';
import type { Contender } from './contender.ts';
import { doStep, type StepName, undoStep } from './work.ts';

const END_TIMEOUT_MS = 60_000;

function step(name: StepName) {
  return {
    run: ({ input }: { readonly input: { readonly saga: number } }) => doStep(name, input.saga),
    compensate: ({ input }: { readonly input: { readonly saga: number } }) => undoStep(name, input.saga),
  };
}

const saga = defineSaga({ name: 'bench-order', version: 1, input: z.strictObject({ saga: z.int() }) })
  .step('reserve', step('reserve'))
  .step('redeem', step('redeem'))
  .step('contract', step('contract'))
  .step('settle', step('settle'))
  .step('acquire', step('acquire'))
  .step('confirm', step('confirm'))
  .build();

/** Throughline with everything on: every span recorded and exported over OTLP to a process of its own, none sampled out. */
export async function throughline({ databaseUrl, otlpEndpoint }: Assignment): Promise<Contender> {
  const telemetry = startTelemetry({ serviceName: 'bench', otlpEndpoint });
  const database = openDatabase({ connectionString: databaseUrl });
  const engine = createSagaEngine({ database, sagas: [saga], service: 'bench' });
  await engine.start();
  return {
    async run(number) {
      const { sagaId } = await engine.begin(saga, { saga: number }, { orderKey: `O-${number}` });
      const outcome = await engine.ended(sagaId, { timeoutMs: END_TIMEOUT_MS });
      if (outcome === 'resolved') throw new Error('nobody resolved it');
      return outcome;
    },
    async close() {
      await engine.stop();
      await database.close();
      await telemetry.shutdown();
    },
  };
}
