import { describe, expect, test } from 'vitest';
import { profile, sample } from '../../insight/fixtures/profiles.ts';
import { flameData } from '../../insight/profile/flame-data.ts';
import { flamePage } from '../../insight/profile/flame-page.ts';
import { chromiumMissing, openPage } from '../support/chromium.ts';

const before = profile([
  sample(['place', 'parse'], 60, { span: 'POST /orders' }),
  sample(['redeem'], 30, { span: 'step redeem-card' }),
  sample(['redeem', 'parse'], 10, { span: 'step redeem-card' }),
  sample(['<img src=x onerror=alert(1)>'], 5, { span: '</script><b>' }),
]);
const after = profile([
  sample(['place', 'parse'], 40, { span: 'POST /orders' }),
  sample(['redeem'], 60, { span: 'step redeem-card' }),
]);
const drawn = '#graph > div';

describe.skipIf(chromiumMissing)(
  `a flame graph in a browser${chromiumMissing ? ` (not run: ${chromiumMissing})` : ''}`,
  { timeout: 60_000 },
  () => {
    test('shows every call as wide as it is, and says what it took', async () => {
      const { page, errors } = await openPage(flamePage(flameData('shop', before)));
      const widths = await page.$$eval(drawn, (nodes) =>
        nodes.map(({ textContent, style }) => [textContent, Number.parseFloat(style.width)]),
      );
      const [[everything, whole] = ['', 0]] = widths as [string, number][];
      expect(everything).toBe('everything');
      const wide = new Map(widths as [string, number][]);
      expect((wide.get('POST /orders') ?? 0) / whole).toBeCloseTo(60 / 105, 2);
      expect((wide.get('redeem') ?? 0) / whole).toBeCloseTo(40 / 105, 2);
      await page.hover(`${drawn} >> text="redeem"`);
      expect(await page.textContent('#detail')).toBe(
        'redeem (a.ts) in step redeem-card: 40 ms, 38.10 %; itself 30 ms',
      );
      expect(await page.$('img')).toBeNull();
      expect(errors).toEqual([]);
    });

    test('zooms, goes back, and filters by span', async () => {
      const { page, errors } = await openPage(flamePage(flameData('shop', before)));
      const widthOf = async (name: string) => {
        const [box] = await page.locator(`${drawn} >> text="${name}"`).all();
        return Math.round((await box?.boundingBox())?.width ?? 0);
      };
      const full = Math.round((await page.locator('#graph').boundingBox())?.width ?? 0);
      await page.click(`${drawn} >> text="redeem"`);
      expect(await widthOf('redeem')).toBe(full);
      expect(await widthOf('place')).toBe(0);
      await page.keyboard.press('Escape');
      expect(await widthOf('redeem')).toBeLessThan(full / 2);
      await page.selectOption('#span', 'POST /orders');
      expect([await widthOf('place'), await widthOf('redeem')]).toEqual([full, 0]);
      await page.click('#reset');
      expect(await widthOf('redeem')).toBeGreaterThan(0);
      expect(errors).toEqual([]);
    });

    test('searches functions and files', async () => {
      const { page } = await openPage(flamePage(flameData('shop', before)));
      await page.keyboard.press('/');
      await page.keyboard.type('PARSE');
      const hits = await page.$$eval(`${drawn}.hit`, (nodes) => nodes.map(({ textContent }) => textContent));
      expect(hits).toEqual(['parse', 'parse']);
      expect(await page.textContent('#found')).toBe('70 ms of 105 ms');
      await page.keyboard.press('Escape');
      expect(await page.$$(`${drawn}.hit`)).toHaveLength(0);
    });

    test('is used with the keyboard alone', async () => {
      const { page } = await openPage(flamePage(flameData('shop', before)));
      const focused = () => page.evaluate('document.activeElement.textContent');
      await page.focus(`${drawn} >> text="everything"`);
      for (const [key, name] of [
        ['ArrowDown', 'POST /orders'],
        ['ArrowRight', 'step redeem-card'],
        ['ArrowDown', 'main'],
        ['ArrowDown', 'redeem'],
        ['Enter', 'redeem'],
        ['ArrowUp', 'main'],
        ['ArrowUp', 'step redeem-card'],
      ] as const) {
        await page.keyboard.press(key);
        expect([key, await focused()]).toEqual([key, name]);
      }
      expect(await page.textContent('#detail')).toContain('step redeem-card: 40');
    });

    test('is dark for readers who have it so', async () => {
      const background = async (colours: 'light' | 'dark') => {
        const { page } = await openPage(flamePage(flameData('shop', before)), { colours });
        return page.evaluate('getComputedStyle(document.body).backgroundColor');
      };
      expect([await background('light'), await background('dark')]).toEqual([
        'rgb(255, 255, 255)',
        'rgb(22, 24, 29)',
      ]);
    });

    test('of a comparison is red where more is taken, blue where less', async () => {
      const { page, errors } = await openPage(flamePage(flameData('v1 → v2', after, before)));
      const colourOf = async (name: string) => {
        const style = (await page.locator(`${drawn} >> text="${name}"`).getAttribute('style')) ?? '';
        const [red = 0, , blue = 0] = /rgb\((.*?)\)/.exec(style)?.[1]?.split(',').map(Number) ?? [];
        return red > blue ? 'red' : 'blue';
      };
      expect([await colourOf('redeem'), await colourOf('place')]).toEqual(['red', 'blue']);
      await page.hover(`${drawn} >> text="redeem"`);
      expect(await page.textContent('#detail')).toContain('38.10 % before, 60.00 % now');
      expect(errors).toEqual([]);
    });
  },
);
