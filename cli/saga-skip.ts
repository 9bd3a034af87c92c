import type { Command } from 'commander';
import { addOperate } from './saga-operate.ts';

/** `throughline saga skip ID` */
export function addSagaSkip(saga: Command): void {
  addOperate(saga, {
    action: 'skip',
    description: 'leave the stuck compensation undone, and go on with the other ones',
    question: 'Leave this one undone for good, and go on with the other compensations?',
    told: 'a running engine leaves that one out and goes on with the other compensations.',
    help: 'Example:\n  $ throughline saga skip 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11 --reason "refunded by hand, ticket 4711"',
  });
}
