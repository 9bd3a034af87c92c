import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './faults.ts';
import type { CallRow, LedgerRow } from './ledger.ts';

/** A sandbox in another process. */
export interface SandboxClient {
  readonly url: string;
  /** What really happened, in order; of every order when no key is given. */
  effects(orderKey?: string): Promise<LedgerRow[]>;
  calls(orderKey?: string): Promise<CallRow[]>;
  addFault(fault: Fault): Promise<void>;
  clearFaults(): Promise<void>;
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
    const answer = (await response.json()) as T;
    if (!response.ok) throw new Error(`the sandbox answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  };
  const query = (orderKey: string | undefined) =>
    orderKey === undefined ? '' : `?orderKey=${encodeURIComponent(orderKey)}`;
  const calls = (orderKey?: string) => ask<CallRow[]>('GET', `calls${query(orderKey)}`);
  return {
    url,
    effects: (orderKey) => ask<LedgerRow[]>('GET', `effects${query(orderKey)}`),
    calls,
    async addFault(fault) {
      await ask('POST', 'faults', fault);
    },
    async clearFaults() {
      await ask('DELETE', 'faults');
    },
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
