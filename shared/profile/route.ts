import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { z } from 'zod';
import { createTokenCheck } from '../http/bearer-token.ts';
import { ProblemError, parseOrRefuse, toProblem } from '../http/problem.ts';
import type { Logger } from '../log.ts';
import { ProfilerMissingError, ProfileUnderWayError } from './errors.ts';
import { MAX_PROFILE_SECONDS, MIN_PROFILE_SECONDS, type ProfileKind, takeProfiles } from './take.ts';

export interface ProfileRouteOptions {
  readonly service: string;
  /** Undefined: closed. */
  readonly token: string | undefined;
  readonly logger: Logger;
  /** Called when one is being taken; its end is waited for before the answer. Errors: none. */
  readonly onStarted: (asked: ProfileRequest) => Promise<void>;
}

export const PROFILE_PATH = '/admin/profile';

const requestSchema = z.strictObject({
  kind: z.enum(['cpu', 'heap']).default('cpu'),
  seconds: z.number().min(MIN_PROFILE_SECONDS).max(MAX_PROFILE_SECONDS).default(30),
  /** Written into the file: whoever compares two wants to know. */
  release: z.string().trim().min(1).max(100).optional(),
  /** Who does it, as the audit names them. */
  actor: z.string().trim().min(1).max(200),
});
export type ProfileRequest = z.output<typeof requestSchema>;

const MAX_BODY_BYTES = 4_096;

/**
 * `POST /admin/profile`: takes a profile of this process and answers with the file. For the port that metrics are on, which
 * every process has; whoever hangs up ends it.
 *
 * Errors: problems (RFC 9457): 401, 403, 405, 409 while one is under way, 413, 415, 422, 501 where there is no profiler.
 */
export function createProfileRoute({
  service,
  token,
  logger,
  onStarted,
}: ProfileRouteOptions): RequestListener {
  const check = createTokenCheck(token);
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const refusal = check(request.headers.authorization);
    if (refusal?.challenge !== undefined) response.setHeader('www-authenticate', refusal.challenge);
    if (refusal) throw refusal.problem;
    if (request.method !== 'POST') {
      response.setHeader('allow', 'POST');
      throw new ProblemError(405, 'method-not-allowed', 'expected POST');
    }
    const asked = parseOrRefuse(requestSchema, await readJson(request), 'body');
    const hangUp = new AbortController();
    response.once('close', () => hangUp.abort());
    const { kind, seconds, release } = asked;
    let told: Promise<void> | undefined;
    const files = await takeProfiles({
      kinds: [kind],
      seconds,
      service,
      release,
      signal: hangUp.signal,
      onStarted: () => {
        told = onStarted(asked);
      },
    });
    await told;
    if (response.destroyed) return;
    response.setHeader('content-type', 'application/octet-stream');
    response.setHeader('content-disposition', `attachment; filename="${profileFileName(service, kind)}"`);
    response.end(files.get(kind));
  };
  return (request, response) => {
    response.setHeader('cache-control', 'no-store');
    answer(request, response).catch((error: unknown) => {
      if (response.destroyed) return;
      const problem = toProblem(asProblem(error));
      if (problem.status >= 500) logger.error({ err: error }, 'a profile could not be taken');
      // What is left unread of a body that is refused would be taken for the next request.
      response.setHeader('connection', 'close');
      response.writeHead(problem.status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(problem));
    });
  };
}

/** As it is saved: `order-worker-4711-20261126T210000Z.cpu.pb.gz`. */
export function profileFileName(service: string, kind: ProfileKind, now: Date = new Date()): string {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${service.replaceAll(/[^\w.-]/g, '_')}-${process.pid}-${time}.${kind}.pb.gz`;
}

function asProblem(error: unknown): unknown {
  if (error instanceof ProfileUnderWayError) return new ProblemError(409, 'profile-under-way', error.message);
  if (error instanceof ProfilerMissingError) return new ProblemError(501, 'profiler-missing', error.message);
  return error;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new ProblemError(415, 'unsupported-media-type', 'expected a body of type application/json');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new ProblemError(413, 'too-large', 'the body is too large');
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new ProblemError(400, 'bad-request', 'the body is no JSON');
  }
}
