import { hash, timingSafeEqual } from 'node:crypto';
import { ProblemError } from './problem.ts';

/** What a request is refused with, and the challenge that goes with it. */
export interface TokenRefusal {
  readonly problem: ProblemError;
  /** For `www-authenticate`. */
  readonly challenge?: string;
}

/**
 * Checks a header `authorization: Bearer …` (RFC 6750). Without a token everything is closed, to everybody.
 *
 * Shape: undefined when it bears the token. 403 when it is closed, else 401.
 */
export function createTokenCheck(
  token: string | undefined,
): (authorization: string | undefined) => TokenRefusal | undefined {
  if (token === undefined)
    return () => ({
      problem: new ProblemError(403, 'admin-closed', 'the admin API is closed: it has no token'),
    });
  const expected = digest(token);
  return (authorization) => {
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
    if (given === undefined)
      return {
        problem: new ProblemError(401, 'token-missing', 'expected a header "authorization: Bearer …"'),
        challenge: CHALLENGE,
      };
    // Of equal length whatever was sent, so that the time it takes tells nothing.
    if (timingSafeEqual(digest(given), expected)) return undefined;
    return {
      problem: new ProblemError(401, 'token-wrong', 'the token is not the right one'),
      challenge: `${CHALLENGE}, error="invalid_token"`,
    };
  };
}

const CHALLENGE = 'Bearer realm="throughline admin"';

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
