import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './faults.ts';
import type { CallRow, LedgerRow, LedgerSummary } from './ledger.ts';

/** A sandbox in another process. Errors of every method: Error, with what the sandbox had against it. */
export interface SandboxClient {
  readonly url: string;
  readonly faults: {
    add(fault: Fault): Promise<void>;
    clear(): Promise<void>;
  };
  /** What really happened, in order; of every order when no key is given. */
  effects(orderKey?: string): Promise<LedgerRow[]>;
  /** Every call that arrived, whatever became of it, in order. */
  calls(orderKey?: string): Promise<CallRow[]>;
  summary(orderKey?: string): Promise<LedgerSummary>;
  /** Resolves once such a call has arrived. Errors: Error after 30 s. */
  called(call: {
    readonly orderKey: string;
    readonly partner: string;
    readonly effect: string;
  }): Promise<void>;
}

const POLL_MS = 10;
const TIMEOUT_MS = 30_000;

export function createSandboxClient(url: string): SandboxClient {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/sandbox/${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the sandbox answered ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  };
  const query = (orderKey: string | undefined) =>
    orderKey === undefined ? '' : `?orderKey=${encodeURIComponent(orderKey)}`;
  const calls = (orderKey?: string) => ask<CallRow[]>('GET', `calls${query(orderKey)}`);
  const faults: SandboxClient['faults'] = {
    async add(fault) {
      await ask('POST', 'faults', fault);
    },
    async clear() {
      await ask('DELETE', 'faults');
    },
  };
  return {
    url,
    faults,
    effects: (orderKey) => ask<LedgerRow[]>('GET', `effects${query(orderKey)}`),
    calls,
    summary: (orderKey) => ask<LedgerSummary>('GET', `summary${query(orderKey)}`),
    async called({ orderKey, partner, effect }) {
      const givesUpAtMs = performance.now() + TIMEOUT_MS;
      while (performance.now() < givesUpAtMs) {
        const seen = await calls(orderKey);
        if (seen.some((call) => call.partner === partner && call.effect === effect)) return;
        await delay(POLL_MS);
      }
      throw new Error(`${partner}/${effect} was not called for ${orderKey} within ${TIMEOUT_MS} ms`);
    },
  };
}
