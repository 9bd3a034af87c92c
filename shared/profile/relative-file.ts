import { sep } from 'node:path';

/**
 * A file's path without what differs from machine to machine, so that two releases in two folders compare: a package's from
 * `node_modules/` on, ours from the working folder on.
 */
export function relativeFile(file: string, folder: string = process.cwd()): string {
  const packages = file.lastIndexOf('/node_modules/');
  if (packages >= 0) return file.slice(packages + 1);
  return file.startsWith(folder + sep) ? file.slice(folder.length + 1) : file;
}
