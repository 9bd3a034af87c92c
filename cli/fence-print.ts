import { printable } from '../insight/printable.ts';
import { printLine } from './output.ts';

export function printFenceReceipt(sentence: string, traceId: string | undefined): void {
  printLine(printable(sentence));
  if (traceId !== undefined) printLine(`Trace ${traceId}`);
}
