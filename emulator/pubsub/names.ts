import { invalidArgument } from './status.ts';

export const DELETED_TOPIC = '_deleted-topic_';

export type Collection = 'topics' | 'subscriptions' | 'snapshots';

/** `projects/{project}/{collection}/{id}`; 3 to 255 characters, a letter first, and not `goog`. */
const RESOURCE_ID = /^(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/;
const PROJECT = /^projects\/[^/]+$/;

export function checkName(name: string, collection: Collection): void {
  const [projects, project, kind, id, ...rest] = name.split('/');
  const isValid =
    projects === 'projects' &&
    project &&
    kind === collection &&
    id &&
    RESOURCE_ID.test(id) &&
    rest.length === 0;
  if (!isValid) throw invalidArgument(`Invalid [${collection}] name: (name=${name})`);
}

export function checkProject(project: string): void {
  if (!PROJECT.test(project)) throw invalidArgument(`Invalid [projects] name: (name=${project})`);
}

export function projectOf(name: string): string {
  return name.split('/')[1] ?? '';
}

export function idOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
