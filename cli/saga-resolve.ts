import type { Command } from 'commander';
import { addOperate } from './saga-operate.ts';

/** `throughline saga resolve ID` */
export function addSagaResolve(saga: Command): void {
  addOperate(saga, {
    action: 'resolve',
    description: 'end the stuck saga as it is: no further compensation runs',
    question: 'End the saga as it is? None of the compensations that are left will ever run.',
    told: 'a running engine ends the saga as it is.',
    help: 'Example:\n  $ throughline saga resolve 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11 --reason "all undone by hand, ticket 4711"',
  });
}
