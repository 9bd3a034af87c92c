import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

/** One call of a Pub/Sub client. */
export interface PubSubCall {
  /** `Publish`, `StreamingPull`, `GetSubscription` … */
  readonly method: string;
  /** Short name of the topic or subscription. */
  readonly resource: string;
}

export interface PubSubGuard {
  /** What takes the emulator's place in PUBSUB_EMULATOR_HOST. */
  readonly host: string;
  readonly allowed: readonly PubSubCall[];
  readonly refused: readonly PubSubCall[];
  close(): Promise<void>;
}

const PERMISSION_DENIED = '7';

/** Stands before an emulator, which knows no permissions, and lets one client do only what it may. */
export async function startPubSubGuard(
  emulatorHost: string,
  may: (call: PubSubCall) => boolean,
): Promise<PubSubGuard> {
  const emulator = connect(`http://${emulatorHost}`);
  const [allowed, refused]: [PubSubCall[], PubSubCall[]] = [[], []];
  const server = createServer().on('stream', (stream, headers) => {
    stream.on('error', () => {}); // its client has gone
    const call = callOf(headers);
    if (may(call)) {
      allowed.push(call);
      forward(emulator, stream, headers);
    } else {
      refused.push(call);
      refuse(stream, call);
    }
  });
  const sessions = new Set<{ destroy(): void }>();
  // Clients that are refused too often hang up, and so does an emulator that is closed: what that breaks is their own to tell.
  server.on('session', (session) => sessions.add(session.on('error', () => {})));
  emulator.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    allowed,
    refused,
    async close() {
      for (const session of sessions) session.destroy();
      emulator.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Google's clients name the resource in a header, by which its front ends route. */
function callOf(headers: IncomingHttpHeaders): PubSubCall {
  const params = new URLSearchParams(String(headers['x-goog-request-params'] ?? ''));
  const [path = ''] = params.values();
  return {
    method: String(headers[':path']).split('/').at(-1) ?? '',
    resource: path.split('/').at(-1) ?? '',
  };
}

function refuse(stream: ServerHttp2Stream, { method, resource }: PubSubCall): void {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': PERMISSION_DENIED,
      'grpc-message': `${method} on ${resource} is not granted`,
    },
    { endStream: true },
  );
}

function forward(
  emulator: ClientHttp2Session,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  if (emulator.destroyed || emulator.closed) {
    stream.close();
    return;
  }
  const onward = emulator.request(headers, { endStream: false });
  let trailers: IncomingHttpHeaders = {};
  onward.on('error', () => stream.close());
  onward.on('trailers', (received) => {
    trailers = received;
  });
  onward.on('response', (response) => {
    // An answer that is an error at once has its status in its only headers.
    if (response['grpc-status'] !== undefined) return stream.respond(response, { endStream: true });
    stream.respond(response, { waitForTrailers: true });
    onward.pipe(stream);
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.on('close', () => onward.close());
  stream.pipe(onward);
}
