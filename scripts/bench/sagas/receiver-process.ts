import { startOtlpReceiver } from '../../../console/otlp-receiver.ts';

/** Receives Throughline's spans as a collector would, and counts them. Asked for the count, it tells and begins anew. */
let spans = 0;
const receiver = await startOtlpReceiver({
  onSpans: (received) => {
    spans += received.length;
  },
});
process.on('message', () => {
  process.send?.({ spans });
  spans = 0;
});
process.on('disconnect', () => process.exit());
process.send?.({ endpoint: receiver.endpoint });
if (!process.send) console.log(receiver.endpoint);
