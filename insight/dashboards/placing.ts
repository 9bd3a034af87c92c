/** What is to be placed. Widths are columns of 24, heights Grafana's rows of 30 pixels. */
export interface Sized {
  readonly width: number;
  readonly height: number;
  readonly content: object;
}

const COLUMNS = 24;

/** Sections one below the other, each with its title; their panels from left to right, in as many lines as it takes. */
export function placed(
  sections: readonly { readonly title: string; readonly panels: readonly Sized[] }[],
): object[] {
  let top = 0;
  return sections.flatMap(({ title, panels }) => {
    const row = { type: 'row', title, collapsed: false, panels: [], gridPos: at(0, top, COLUMNS, 1) };
    const { placed, bottom } = inLines(panels, top + 1);
    top = bottom;
    return [row, ...placed];
  });
}

function inLines(panels: readonly Sized[], top: number): { placed: object[]; bottom: number } {
  let [left, y, lineHeight] = [0, top, 0];
  const placed = panels.map(({ width, height, content }) => {
    if (left + width > COLUMNS) [left, y, lineHeight] = [0, y + lineHeight, 0];
    const panel = { ...content, gridPos: at(left, y, width, height) };
    left += width;
    lineHeight = Math.max(lineHeight, height);
    return panel;
  });
  return { placed, bottom: y + lineHeight };
}

function at(x: number, y: number, w: number, h: number) {
  return { x, y, w, h };
}
