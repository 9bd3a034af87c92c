import { z } from 'zod';

/** What partners answer when they are asked to undo the call that bore a key, whether or not it ever reached them. */
export const undone = z.object({ outcome: z.enum(['undone', 'nothing-to-undo']) });

export type Undone = z.output<typeof undone>;
