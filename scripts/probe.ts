import { ThroughlineError } from '../shared/errors.ts';

/** `node dist/scripts/probe.js URL`: a container's health check, because its image has neither a shell nor curl. Exits with 0 if the answer is 2xx. */
const ANSWER_WITHIN_MS = 3_000;

/** What was asked did not say that all is well. */
class ProbeError extends ThroughlineError {
  override readonly name = 'ProbeError';
  readonly code = 'PROBE_FAILED';
}

const [url = ''] = process.argv.slice(2);
try {
  if (!URL.canParse(url)) throw new ProbeError(`expected one http:// address, got "${url}"`);
  const { status, ok } = await fetch(url, {
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    redirect: 'error',
  });
  if (!ok) throw new ProbeError(`${url} answered ${status}`);
} catch (error) {
  const { message, cause } = error as Error;
  console.error(`probe: ${cause instanceof Error ? `${url}: ${cause.message}` : message}`);
  process.exitCode = 1;
}
