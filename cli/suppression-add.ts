import type { Command } from 'commander';
import { suppress } from '../publisher/campaign/index.ts';
import { addSuppressionCommand } from './suppression-operate.ts';

/** `throughline suppression add` */
export function addSuppressionAdd(suppression: Command): void {
  const command = suppression
    .command('add')
    .description('send nothing to this address any more, nor the rest of campaigns that run')
    .addHelpText('after', HELP);
  addSuppressionCommand(command, {
    action: 'add',
    async act(database, options) {
      await suppress(database, options);
      return true;
    },
    told: (what) => `From now on nothing ${what} is sent to this address.`,
    otherwise: '',
  });
}

const HELP = `
Examples:
  $ throughline suppression add --channel email --address ada@example.com --reason "bounced"
  $ throughline suppression add --channel email --address ada@example.com --category offers --reason "asked by telephone"`;
