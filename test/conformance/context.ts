import { type TestContext, test } from 'vitest';
import type { Fixture } from './fixture.ts';
import type { Capability, Target } from './target.ts';

export interface Context {
  readonly target: Target;
  /** Only inside a test: the target is started before the first one. */
  readonly fixture: () => Fixture;
}

export type Body = (fixture: Fixture) => Promise<void>;

/** Declares tests that are skipped, with the reason, where the target lacks a capability. */
export function testsFor({ target, fixture }: Context) {
  const run = (needs: readonly Capability[], body: Body) => async (context: TestContext) => {
    for (const capability of needs) {
      const reason = target.missing[capability];
      if (reason) context.skip(reason);
    }
    await body(fixture());
  };
  return {
    it: (sentence: string, body: Body, ...needs: Capability[]) => test(sentence, run(needs, body)),
    /** For tests that wait for the server's clock: they wait side by side. */
    slowly: (sentence: string, body: Body, ...needs: Capability[]) =>
      test.concurrent(sentence, run(needs, body)),
  };
}

/** gRPC's status codes, as errors carry them. */
export const INVALID_ARGUMENT = expectCode(3);
export const NOT_FOUND = expectCode(5);
export const ALREADY_EXISTS = expectCode(6);
export const UNIMPLEMENTED = expectCode(12);

function expectCode(code: number) {
  return { code };
}
