import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { readConfig } from '../../shared/config.ts';

/** Debian's chromium, on the path; undefined: there is none. */
function findChromium(): string | undefined {
  return readConfig()
    .searchPath.split(delimiter)
    .filter((folder) => folder !== '')
    .flatMap((folder) => [join(folder, 'chromium'), join(folder, 'chromium-browser')])
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Why no browser can be run here; undefined when one can, and in CI, which installs it: a skipped test would pass for ever. */
export const chromiumMissing =
  readConfig().ci || findChromium() !== undefined ? undefined : "Debian's package chromium is not installed";

export interface PageOptions {
  readonly colours?: 'light' | 'dark';
}

/** A page of a browser without any network. Closed with the test, which fails if the page had an error. */
export async function openPage(
  html: string,
  { colours = 'light' }: PageOptions = {},
): Promise<{ readonly page: Page; readonly errors: readonly string[] }> {
  const browser = await chromium.launch({
    executablePath: findChromium() ?? 'chromium',
    args: ['--no-sandbox'],
  });
  onTestFinished(() => browser.close());
  const context = await browser.newContext({
    offline: true,
    colorScheme: colours,
    viewport: { width: 1_200, height: 800 },
  });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('request', (request) => errors.push(`asked for ${request.url()}`));
  await page.setContent(html);
  return { page, errors };
}
