export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Lines on a terminal that take the place of those shown before. None of them may be wider than it. */
export interface LiveDisplay {
  show(lines: readonly string[]): void;
}

export function createLiveDisplay(screen: Screen): LiveDisplay {
  let shown = 0;
  return {
    show(lines) {
      const back = shown === 0 ? '' : `\u001b[${shown}A\r\u001b[J`;
      screen.write(`${back}${lines.join('\n')}\n`);
      shown = lines.length;
    },
  };
}
