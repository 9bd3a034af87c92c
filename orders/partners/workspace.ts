import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';
import { type Undone, undone } from './undone.ts';

const setUp = z.object({ customerId: z.string().min(1) });

export interface WorkspacePartner {
  setUp(
    request: { readonly domain: string; readonly email: string },
    call: PartnerCall,
  ): Promise<z.output<typeof setUp>>;
  /** `undoes`: the idempotency key of the set-up. */
  tearDown(request: { readonly undoes: string }, call: PartnerCall): Promise<Undone>;
}

export function createWorkspacePartner(ask: Ask): WorkspacePartner {
  return {
    setUp: ({ domain, email }, call) => ask('set-up', { domain, email }, call, setUp),
    tearDown: ({ undoes }, call) => ask('tear-down', { undoes }, call, undone),
  };
}
