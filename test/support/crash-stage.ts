import { type OtlpReceiver, startOtlpReceiver } from '../../console/otlp-receiver.ts';
import { createSpanStore, type SpanStore } from '../../console/span-store.ts';
import { type Emulator, startEmulator } from '../../emulator/index.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { freePort } from '../../shared/free-port.ts';
import { type PartnerGate, startPartnerGate } from './partner-gate.ts';

/** What survives every crash and can be shared by systems: partners behind a gate, Pub/Sub, and who collects the spans. */
export interface CrashStage {
  readonly sandbox: PartnersSandbox;
  readonly gate: PartnerGate;
  readonly store: SpanStore;
  readonly receiver: OtlpReceiver;
  readonly emulator: Emulator;
  close(): Promise<void>;
}

export async function startCrashStage(): Promise<CrashStage> {
  const sandbox = await startPartnersSandbox();
  const gate = await startPartnerGate(sandbox);
  const store = createSpanStore({ maxSpans: 500_000 });
  const receiver = await startOtlpReceiver({ onSpans: (spans) => store.add(spans) });
  const emulator = await startEmulator({ port: await freePort() }); // a test restarts it
  return {
    sandbox,
    gate,
    store,
    receiver,
    emulator,
    async close() {
      await gate.close();
      await sandbox.close();
      await emulator.close();
      await receiver.close();
    },
  };
}
