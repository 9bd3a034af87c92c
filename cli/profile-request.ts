import { basename } from 'node:path';
import { Agent, fetch } from 'undici';
import { z } from 'zod';
import { ThroughlineError } from '../shared/errors.ts';
import { problemSchema } from '../shared/http/problem.ts';
import { PROFILE_PATH } from '../shared/profile/route.ts';

/** A process was asked for a profile and gave none. */
export class ProfileRefusedError extends ThroughlineError {
  override readonly name = 'ProfileRefusedError';
  readonly code = 'PROFILE_REFUSED';
}

export interface ProfileAsked {
  /** Where the process serves its metrics; whatever path it has does not matter. */
  readonly url: string;
  readonly token: string;
  readonly kind: 'cpu' | 'heap';
  readonly seconds: number;
  readonly actor: string;
  readonly release?: string | undefined;
  readonly signal: AbortSignal;
}

/** What it may take besides the seconds that were asked for, in ms. */
const GRACE_MS = 30_000;

/**
 * Has a running process take a profile of itself.
 *
 * Shape:  the file, and the name that the process gives it.
 * Errors: ProfileRefusedError.
 */
export async function askForProfile({ url, token, signal, ...asked }: ProfileAsked): Promise<{
  readonly bytes: Uint8Array;
  readonly name: string;
}> {
  const address = new URL(PROFILE_PATH, url);
  const timeoutMs = asked.seconds * 1_000 + GRACE_MS;
  const agent = new Agent({ headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
  try {
    const response = await fetch(address, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(asked),
      signal,
      dispatcher: agent,
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (!response.ok) throw new ProfileRefusedError(refusal(address, response.status, bytes));
    const [, name] = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '') ?? [];
    if (name === undefined)
      throw new ProfileRefusedError(`${address} answered, and with no profile; is this its address?`);
    return { bytes, name: basename(name) };
  } catch (cause) {
    if (cause instanceof ProfileRefusedError) throw cause;
    if (signal.aborted) throw new ProfileRefusedError('interrupted; no profile was written', { cause });
    throw new ProfileRefusedError(`no answer from ${address}: ${reasonOf(cause)}`, { cause });
  } finally {
    await agent.destroy();
  }
}

function refusal(address: URL, status: number, bytes: Uint8Array): string {
  const problem = z
    .string()
    .transform((text) => JSON.parse(text))
    .pipe(problemSchema);
  let told: z.output<typeof problemSchema> | undefined;
  try {
    told = problem.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return `${address} answered ${status}; is this where a process of Throughline serves its metrics?`;
  }
  const fields = told.errors?.map(({ field, expected }) => ` ${field}: ${expected}`).join(';') ?? '';
  return `the process refused (${status}): ${told.title}${fields && `:${fields}`}`;
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error;
  return cause instanceof Error ? (cause as NodeJS.ErrnoException).code || cause.message : message;
}
