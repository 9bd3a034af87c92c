import type { Command } from 'commander';
import { unsuppress } from '../publisher/campaign/index.ts';
import { addSuppressionCommand } from './suppression-operate.ts';

/** `throughline suppression remove` */
export function addSuppressionRemove(suppression: Command): void {
  const command = suppression
    .command('remove')
    .description('send to this address again: its owner wants it')
    .addHelpText('after', HELP);
  addSuppressionCommand(command, {
    action: 'remove',
    act: unsuppress,
    told: (what) => `What was suppressed for this address ${what} is sent to it again.`,
    otherwise: 'nothing was suppressed for this address in that category; look whether it was in another one',
  });
}

const HELP = `
Example:
  $ throughline suppression remove --channel email --address ada@example.com --category offers --reason "asked for it again"`;
