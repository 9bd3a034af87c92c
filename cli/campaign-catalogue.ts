import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { z } from 'zod';
import type { CampaignCatalogue } from '../publisher/campaign/index.ts';
import { UsageError } from './failure.ts';

export interface CatalogueOptions {
  readonly catalogue?: string;
}

/** `--catalogue FILE`: the segments and channels of somebody's own service, in place of the reference shop's. */
export function addCatalogueOption(command: Command): Command {
  return command.option(
    '--catalogue <module>',
    "an ES module whose default export is { segments, channels } (default: the reference shop's)",
  );
}

/** Nothing but what is called here is looked at. */
const catalogueSchema = z.custom<CampaignCatalogue>(
  (given) =>
    z
      .looseObject({
        segments: z.array(z.looseObject({ name: z.string(), page: z.function() })),
        channels: z.array(z.looseObject({ name: z.string(), addressKey: z.function() })),
      })
      .safeParse(given).success,
);

/** Errors: UsageError when the module cannot be loaded, or has no catalogue. */
export async function readCatalogue({ catalogue: path }: CatalogueOptions): Promise<CampaignCatalogue> {
  if (path === undefined) return (await import('../orders/campaign/channels.ts')).CATALOGUE;
  const module: unknown = await import(pathToFileURL(resolve(path)).href).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`--catalogue: ${path} cannot be loaded: ${why}`, { cause });
  });
  const parsed = z.looseObject({ default: catalogueSchema }).safeParse(module);
  if (parsed.success) return parsed.data.default;
  throw new UsageError(
    `--catalogue: ${path}: expected a default export { segments, channels }: what defineSegment returns, and address schemes`,
  );
}
