import type { AddressInfo } from 'node:net';
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { createFrames, type Frame } from './pg-frames.ts';

/** What a client asked the server for: everything up to its `Sync`, or a simple query. */
export interface Statement {
  /** Names, SQL and parameters, as text. */
  readonly text: string;
  /** The same of every statement of the transaction that this one belongs to, this one included. */
  readonly transaction: string;
}

export interface StatementPoint {
  readonly matches: (statement: Statement) => boolean;
  /** `before`: the server never sees it. `after`: the server has answered, and the client never hears of it. */
  readonly when: 'before' | 'after';
}

/**
 * Stands between one process and PostgreSQL, and can stop the world for it at a statement.
 *
 * The process is real and knows nothing of it: whoever waits for `reached` kills it there.
 */
export interface PgGate {
  /** To be given to the process as DATABASE_URL. */
  readonly url: string;
  /** Stops at the next such statement, once. Resolves when it is reached. */
  reach(point: StatementPoint): Promise<void>;
  close(): Promise<void>;
}

interface Pending extends StatementPoint {
  readonly onReached: () => void;
}

/** `databaseUrl` without TLS. */
export async function startPgGate(databaseUrl: string): Promise<PgGate> {
  const target = new URL(databaseUrl);
  const pending = new Set<Pending>();
  const sockets = new Set<Socket>();
  const take = (statement: Statement): Pending | undefined => {
    const found = [...pending].find(({ matches }) => matches(statement));
    if (found) pending.delete(found);
    return found;
  };
  const server = createServer((client) => {
    const upstream = connectSocket({ host: target.hostname, port: Number(target.port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    pass(client, upstream, take);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    reach: (point) => new Promise((resolve) => pending.add({ ...point, onReached: resolve })),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Passes messages to and fro until a point is reached; from then on nothing passes that the point forbids. */
function pass(client: Socket, upstream: Socket, take: (statement: Statement) => Pending | undefined): void {
  const asked = createFrames({ hasStartup: true });
  const answered = createFrames({ hasStartup: false });
  const statements = createStatements();
  let isCutOff = false;
  let awaited: Pending | undefined;
  let held: Frame[] = [];
  client.on('data', (chunk: Buffer) => {
    for (const frame of asked(chunk)) {
      if (isCutOff) return;
      held.push(frame);
      const statement = statements(frame);
      if (!statement && !ENDS_NOTHING.has(frame.type)) continue;
      const point = statement && take(statement);
      if (point) isCutOff = true;
      if (point?.when === 'before') return point.onReached();
      awaited = point;
      for (const { bytes } of held) upstream.write(bytes);
      held = [];
    }
  });
  upstream.on('data', (chunk: Buffer) => {
    if (!isCutOff) client.write(chunk);
    if (answered(chunk).some(({ type }) => type === READY)) awaited?.onReached();
  });
}

const READY = 'Z';
/** Start-up, passwords, the end: passed on as they come. */
const ENDS_NOTHING = new Set(['', 'p', 'X', 'H', 'c', 'd', 'f']);

/** Gathers messages into statements. Shape: the statement that this message ends, if it ends one. */
function createStatements(): (frame: Frame) => Statement | undefined {
  let text = '';
  let transaction = '';
  return ({ type, bytes }) => {
    if (type === '' || type === 'p') return undefined;
    text += `${bytes.toString('utf8', 5)}\n`;
    if (type !== 'Q' && type !== 'S') return undefined;
    const isFirst = /^BEGIN\b/.test(text);
    transaction = isFirst ? text : transaction + text;
    const statement = { text, transaction };
    text = '';
    if (/^(COMMIT|ROLLBACK)\b/.test(statement.text)) transaction = '';
    return statement;
  };
}
