import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { flameData } from '../insight/profile/flame-data.ts';
import { flamePage } from '../insight/profile/flame-page.ts';
import { printLine } from './output.ts';
import { readProfile } from './profile-file.ts';

/** `throughline profile flame` */
export function addProfileFlame(profile: Command): void {
  profile
    .command('flame')
    .description('draws a flame graph: one HTML file, which needs nothing else')
    .argument('<file>', 'a pprof file')
    .requiredOption('--output <path>', 'of the page')
    .addHelpText('after', HELP)
    .action(profileFlame);
}

const HELP = `
Calls are grouped and coloured by the span that they were for. In the page: click or Enter zooms, arrows move, / searches,
Escape shows all.

Examples:
  $ throughline profile flame order-worker.cpu.pb.gz --output flame.html`;

async function profileFlame(file: string, { output }: { readonly output: string }): Promise<void> {
  await writeFile(output, flamePage(flameData(basename(file), await readProfile(file))));
  printLine(`${output}: a flame graph of ${file}`);
}
