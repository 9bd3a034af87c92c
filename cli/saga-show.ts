import type { Command } from 'commander';
import { readSagaDetail } from '../publisher/saga/index.ts';
import { printJson } from './output.ts';
import { printSaga } from './saga-print.ts';
import { withDatabase } from './session.ts';

/** `throughline saga show ID` */
export function addSagaShow(saga: Command): void {
  saga
    .command('show')
    .description('one saga: its steps, their compensations, and what operators did')
    .argument('<saga>', "the saga's id")
    .option('--json', 'print one JSON document, with input and journal')
    .addHelpText('after', '\nExample:\n  $ throughline saga show 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11')
    .action(sagaShow);
}

async function sagaShow(sagaId: string, { json = false }: { readonly json?: boolean }): Promise<void> {
  const saga = await withDatabase({ purpose: 'read' }, (database) => readSagaDetail(database, sagaId));
  if (json) printJson(saga);
  else printSaga(saga);
}
