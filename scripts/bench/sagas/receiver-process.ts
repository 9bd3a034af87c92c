import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs/light.js';

/**
 * Counts spans as they come in over OTLP, for each sender by the path that it was given, and drops them: it shares two cores with those who are measured,
 * so it does no more than that. Asked for a sender's count, it tells it and begins anew.
 */
const spans = new Map<string, number>();
/** Before compression. */
const bytes = new Map<string, number>();
const server = createServer(async (request, response) => {
  const body = await buffer(request);
  const [, sender] = /^\/(\w+)\/v1\/traces$/.exec(request.url ?? '') ?? [];
  if (sender !== undefined) {
    const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    spans.set(sender, (spans.get(sender) ?? 0) + countSpans(plain));
    bytes.set(sender, (bytes.get(sender) ?? 0) + plain.byteLength);
  }
  response.setHeader('content-type', 'application/x-protobuf').end();
});

/** Numbers of the fields that lead to a span. Source: opentelemetry-proto 1.x, collector/trace/v1 and trace/v1. */
const WAY_TO_SPANS = [1 /* resource_spans */, 2 /* scope_spans */, 2 /* spans */] as const;

function countSpans(body: Uint8Array, depth = 0): number {
  if (depth === WAY_TO_SPANS.length) return 1;
  const reader = protobuf.Reader.create(body);
  let count = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === WAY_TO_SPANS[depth]) count += countSpans(reader.bytes(), depth + 1);
    else reader.skipType(tag & 7);
  }
  return count;
}

process.on('message', ({ sender }: { readonly sender: string }) => {
  process.send?.({ spans: spans.get(sender) ?? 0, bytes: bytes.get(sender) ?? 0 });
  spans.delete(sender);
  bytes.delete(sender);
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  process.send?.({ endpoint: `http://127.0.0.1:${port}` });
});
