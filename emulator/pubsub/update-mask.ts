import type { protos } from '@google-cloud/pubsub';
import { invalidArgument } from './status.ts';

export interface MaskRules {
  /** The request's type, for the error text. */
  readonly request: string;
  readonly updatable: ReadonlySet<string>;
  readonly immutable: ReadonlySet<string>;
}

/** The fields to update, as the mask names them (`ack_deadline_seconds`), after checking each against the rules. */
export function readUpdateMask(
  mask: protos.google.protobuf.IFieldMask | null | undefined,
  { request, updatable, immutable }: MaskRules,
): ReadonlySet<string> {
  // Google's hand-written client and JSON clients write a mask in camel case.
  const paths = (mask?.paths ?? []).map(snakeCase);
  if (paths.length === 0)
    throw invalidArgument(
      `The update_mask in the ${request} must be set, and must contain a non-empty paths list.`,
    );
  for (const path of paths) {
    if (updatable.has(path)) continue;
    const problem = immutable.has(path) ? 'cannot be changed after creation' : 'is not a known field';
    throw invalidArgument(`Invalid update_mask provided in the ${request}: ${path} ${problem}.`);
  }
  return new Set(paths);
}

/** The resource without the fields that the mask does not name: they are ignored, whatever they hold. */
export function onlyMasked<Resource extends object>(
  resource: Resource | null | undefined,
  paths: ReadonlySet<string>,
): Partial<Resource> {
  const named = Object.entries(resource ?? {}).filter(([field]) => paths.has(snakeCase(field)));
  return Object.fromEntries(named) as Partial<Resource>;
}

function snakeCase(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
