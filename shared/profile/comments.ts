import { z } from 'zod';
import type { EndedSpans } from './span-work.ts';

/** What a profile says of itself: pprof has a place for lines of text, which viewers show or pass over. */
const factsSchema = z.object({
  kind: z.enum(['cpu', 'heap']),
  service: z.string(),
  release: z.string().optional(),
  node: z.string(),
});
export type ProfileFacts = z.output<typeof factsSchema>;

const endedSchema = z.object({
  span: z.string().optional(),
  step: z.string().optional(),
  saga: z.string().optional(),
  job: z.string().optional(),
  ended: z.int().min(0),
});

const FACTS = 'throughline.profile ';
const ENDED = 'throughline.ended ';

export function profileComments(
  facts: { readonly [Key in keyof ProfileFacts]: ProfileFacts[Key] | undefined },
  spans: readonly EndedSpans[],
): string[] {
  return [`${FACTS}${JSON.stringify(facts)}`, ...spans.map((span) => `${ENDED}${JSON.stringify(span)}`)];
}

/** Shape: undefined and none for a profile that is not of ours. Errors: none. */
export function readComments(comments: readonly string[]): {
  readonly facts: ProfileFacts | undefined;
  readonly ended: readonly EndedSpans[];
} {
  const those = <Output>(prefix: string, schema: z.ZodType<Output>) =>
    comments
      .filter((comment) => comment.startsWith(prefix))
      .flatMap((comment) => schema.safeParse(asJson(comment.slice(prefix.length))).data ?? []);
  return { facts: those(FACTS, factsSchema)[0], ended: those(ENDED, endedSchema) as EndedSpans[] };
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
