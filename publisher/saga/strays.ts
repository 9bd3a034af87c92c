export interface StraysOptions {
  /** Ids of the sagas that are this process's by the database. */
  readonly mine: () => Promise<readonly string[]>;
  readonly isInHand: (sagaId: string) => boolean;
  /** Gives sagas up, to be taken over like a dead process's. */
  readonly disown: (sagaIds: readonly string[]) => Promise<void>;
  /** How often they are looked for without a reason, in ms. */
  readonly everyMs: number;
  /** What nobody has in hand for as long is a stray, in ms. */
  readonly apartMs: number;
}

/**
 * Sagas that are this process's by the database and that it does not know of: the answer to a claim, or to the commit
 * that began them, was lost; what was claimed could not be read; they could not be let go of. Nobody would ever run them
 * while this process lives.
 */
export interface Strays {
  /** There may be one: looks at the next opportunity. */
  suspect(): void;
  /** Looks when it is time to. Errors: DatabaseUnavailableError. */
  giveUp(): Promise<void>;
  /** Whether the saga was given up here: whoever learns only now that it has begun must not run it. */
  hasGivenUp(sagaId: string): boolean;
}

export function createStrays({ mine, isInHand, disown, everyMs, apartMs }: StraysOptions): Strays {
  let isSuspected = false;
  let lookedMs = performance.now();
  let seen = new Set<string>();
  const givenUp = new Set<string>(); // few: each is an answer that was lost
  return {
    suspect() {
      isSuspected = true;
    },
    async giveUp() {
      const nowMs = performance.now();
      if (nowMs - lookedMs < (isSuspected ? apartMs : everyMs)) return;
      lookedMs = nowMs;
      isSuspected = false;
      const found = (await mine()).filter((id) => !isInHand(id));
      // Seen twice: what was being begun or claimed at the first look is in hand by the second.
      const strays = found.filter((id) => seen.has(id));
      for (const id of strays) givenUp.add(id);
      if (strays.length > 0) await disown(strays);
      seen = new Set(found);
      isSuspected ||= found.length > 0;
    },
    hasGivenUp: (sagaId) => givenUp.has(sagaId),
  };
}
