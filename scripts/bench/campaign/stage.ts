import type { Databases } from '../sagas/databases.ts';
import type { SpanReceiver } from '../sagas/span-receiver.ts';
import type { Size } from './size.ts';

/** What the parts of the benchmark share. */
export interface Stage {
  readonly databases: Databases;
  readonly receiver: SpanReceiver;
  readonly size: Size;
  readonly onProgress: (text: string) => void;
}
