import { EventEmitter } from 'node:events';
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Response } from 'express';
import type { OrderView } from './schemas.ts';

/** An order that another process runs is looked at this often, in ms. */
const POLL_MS = 1_000;
const HEARTBEAT_MS = 15_000;
const ENDED = new Set<OrderView['state']>(['confirmed', 'compensated', 'resolved']);

/** Tells open pages what became of their orders, as server-sent events. */
export interface OrderEvents {
  /** To be called with the sagas that something was stored for. */
  changed(sagaIds: readonly string[]): void;
  /** Sends the order now and at each change, until it has ended or the reader is gone. */
  stream(response: Response, first: OrderView, read: () => Promise<OrderView | undefined>): void;
  /** Ends every stream; later ones end with what they begin with. */
  close(): void;
}

export function createOrderEvents(): OrderEvents {
  const changes = new EventEmitter<Record<string, []>>().setMaxListeners(0);
  const open = new Set<() => void>();
  let isClosed = false;

  const stream: OrderEvents['stream'] = (response, first, read) => {
    let last = '';
    let reading = false;
    let again = false;
    const send = (order: OrderView) => {
      const data = JSON.stringify(order);
      if (data === last) return;
      last = data;
      response.write(`event: order\ndata: ${data}\n\n`);
      if (isClosed || ENDED.has(order.state)) end();
    };
    const look = async () => {
      again = true;
      if (reading) return;
      reading = true;
      while (again && open.has(end)) {
        again = false;
        const order = await read().catch(() => undefined); // the database is away: the next look tells
        if (order && open.has(end)) send(order);
      }
      reading = false;
    };
    /** A stream is open for hours: what it reads belongs neither to its request nor to whoever made the change. */
    const lookAlone = () => void context.with(ROOT_CONTEXT, look);
    const timers = [
      setInterval(lookAlone, POLL_MS),
      setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS),
    ];
    const end = () => {
      if (!open.delete(end)) return;
      for (const timer of timers) clearInterval(timer);
      changes.off(first.sagaId, lookAlone);
      response.end();
    };
    open.add(end);
    changes.on(first.sagaId, lookAlone);
    response.once('close', end);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    send(first);
  };

  return {
    changed(sagaIds) {
      for (const id of sagaIds) changes.emit(id);
    },
    stream,
    close() {
      isClosed = true;
      for (const end of open) end();
    },
  };
}
