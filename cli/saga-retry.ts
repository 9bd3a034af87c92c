import type { Command } from 'commander';
import { addOperate } from './saga-operate.ts';

/** `throughline saga retry ID` */
export function addSagaRetry(saga: Command): void {
  addOperate(saga, {
    action: 'retry',
    description: 'try the stuck compensation again, with all its attempts',
    told: 'a running engine tries the compensation again.',
    help: 'Example:\n  $ throughline saga retry 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11 --reason "the card service is back"',
  });
}
