export interface StraysOptions {
  /** Ids of the sagas that are this process's by the database. */
  readonly mine: () => Promise<readonly string[]>;
  readonly isInHand: (sagaId: string) => boolean;
  /** Gives sagas up, to be taken over like a dead process's. */
  readonly disown: (sagaIds: readonly string[]) => Promise<void>;
}

/**
 * Sagas that are this process's by the database and that it does not know of: the answer to a claim was lost, or what
 * was claimed could not be read. Nobody would ever run them while this process lives.
 */
export interface Strays {
  /** To be called when a claim failed. */
  suspect(): void;
  /** Looks, when there was a reason to. Errors: DatabaseUnavailableError. */
  giveUp(): Promise<void>;
}

export function createStrays({ mine, isInHand, disown }: StraysOptions): Strays {
  let isSuspected = false;
  let seen = new Set<string>();
  return {
    suspect() {
      isSuspected = true;
    },
    async giveUp() {
      if (!isSuspected) return;
      const found = (await mine()).filter((id) => !isInHand(id));
      // Seen twice: what was being begun or claimed at the first look is in hand by the second.
      const strays = found.filter((id) => seen.has(id));
      if (strays.length > 0) await disown(strays);
      seen = new Set(found);
      isSuspected = found.length > 0;
    },
  };
}
