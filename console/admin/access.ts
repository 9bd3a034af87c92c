import type { RequestHandler } from 'express';
import { createTokenCheck } from '../../shared/http/bearer-token.ts';

/**
 * Lets a request pass that bears the token, before anything else of it is read. Without a token everything is closed.
 *
 * Errors: ProblemError, 403 when it is closed, else 401.
 */
export function requireToken(token: string | undefined): RequestHandler {
  const check = createTokenCheck(token);
  return (request, response, next) => {
    const refusal = check(request.get('authorization'));
    if (!refusal) return next();
    if (refusal.challenge !== undefined) response.setHeader('www-authenticate', refusal.challenge);
    throw refusal.problem;
  };
}
