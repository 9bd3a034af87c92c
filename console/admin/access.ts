import { hash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { ProblemError } from '../../shared/http/problem.ts';

/**
 * Lets a request pass that bears the token (RFC 6750), before anything else of it is read. Without a token everything is
 * closed, to everybody.
 *
 * Errors: ProblemError, 403 when it is closed, else 401.
 */
export function requireToken(token: string | undefined): RequestHandler {
  const expected = token === undefined ? undefined : digest(token);
  return (request, response, next) => {
    if (!expected) throw new ProblemError(403, 'admin-closed', 'the admin API is closed: it has no token');
    const [, given] = /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '') ?? [];
    // Of equal length whatever was sent, so that the time it takes tells nothing.
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return next();
    const challenge = 'Bearer realm="throughline admin"';
    response.setHeader(
      'www-authenticate',
      given === undefined ? challenge : `${challenge}, error="invalid_token"`,
    );
    throw given === undefined
      ? new ProblemError(401, 'token-missing', 'expected a header "authorization: Bearer …"')
      : new ProblemError(401, 'token-wrong', 'the token is not the right one');
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
