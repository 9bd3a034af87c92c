/** There is no compensation, and why. */
export interface Skip {
  readonly skip: string;
}

/** Says that a step need not be undone: `skip('a registered card does no harm')`. The reason is shown to operators. */
export function skip(reason: string): Skip {
  return { skip: reason };
}
