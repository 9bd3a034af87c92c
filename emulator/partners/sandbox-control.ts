import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { type Answer, fieldErrors, invalid, ok, problem } from './answer.ts';
import { readJsonObject } from './body.ts';
import { FAULT_KINDS, type Fault, type Faults } from './faults.ts';
import type { Ledger } from './ledger.ts';

const text = z.string().min(1).max(256).exactOptional();
const faultSchema: z.ZodType<Fault> = z.strictObject({
  partner: text,
  effect: text,
  orderKey: text,
  kind: z.enum(FAULT_KINDS),
  times: z.int().min(1).exactOptional(),
  rate: z.number().min(0).max(1).exactOptional(),
  status: z.int().min(400).max(599).exactOptional(),
  retryAfterSeconds: z.number().min(0).max(3_600).exactOptional(),
  latencyMs: z.number().min(0).max(60_000).exactOptional(),
  reason: text,
});

/** `/sandbox/effects`, `/sandbox/calls`, `/sandbox/summary` and `/sandbox/faults`: how whoever is in another process looks and interferes. */
export async function control(
  request: IncomingMessage,
  { pathname, searchParams }: URL,
  { ledger, faults }: { readonly ledger: Ledger; readonly faults: Faults },
): Promise<Answer> {
  const orderKey = searchParams.get('orderKey') ?? undefined;
  switch (`${request.method} ${pathname}`) {
    case 'GET /sandbox/effects':
      return ok(ledger.rows(orderKey));
    case 'GET /sandbox/calls':
      return ok(ledger.calls(orderKey));
    case 'GET /sandbox/summary':
      return ok({ ...ledger.summary(orderKey) });
    case 'DELETE /sandbox/faults':
      faults.clear();
      return ok({});
    case 'POST /sandbox/faults':
      return addFault(request, faults);
    default:
      return problem(404, 'there are /sandbox/effects, /sandbox/calls, /sandbox/summary and /sandbox/faults');
  }
}

async function addFault(request: IncomingMessage, faults: Faults): Promise<Answer> {
  const body = await readJsonObject(request);
  if (!body.ok) return body.refusal;
  const parsed = faultSchema.safeParse(body.value);
  if (!parsed.success) return invalid(422, fieldErrors(parsed.error.issues));
  faults.add(parsed.data);
  return ok({});
}
