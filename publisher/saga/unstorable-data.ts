import { ThroughlineError } from '../../shared/errors.ts';
import { findUnstorable } from '../../shared/storable.ts';

/** Data that a saga goes on with holds text that PostgreSQL cannot give back; `path` says where. */
export class UnstorableDataError extends ThroughlineError {
  override readonly name = 'UnstorableDataError';
  readonly code = 'DATA_UNSTORABLE';
  readonly path: string;

  constructor(path: string) {
    super(`${path}: ${STORABLE}`);
    this.path = path;
  }
}

/** What is expected of text in results, signals and inputs. */
export const STORABLE = 'expected text without NUL and without halves of surrogate pairs';

/** `root` names what `JSON.stringify` made `json` of. Errors: UnstorableDataError. */
export function refuseUnstorable(json: string, root: string): void {
  const path = findUnstorable(json);
  if (path !== undefined) throw new UnstorableDataError([root, path].filter(Boolean).join('.'));
}
