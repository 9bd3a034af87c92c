import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';

/**
 * A context that is one value on top of another context.
 *
 * The API's own contexts copy a map and make three closures for each value that is set; with four or five values set for
 * each message that was a good part of what the garbage collector had to do. This one is a single object. It behaves the
 * same: immutable, and a deleted value is an undefined one.
 *
 * A chain that grows long is copied into one of the API's contexts, so that a lookup stays short and nothing that was
 * overwritten is kept alive for long.
 */
class LightContext implements Context {
  readonly below: Context;
  readonly key: symbol | undefined;
  readonly value: unknown;
  readonly depth: number;

  constructor(below: Context, key: symbol | undefined, value: unknown, depth: number) {
    this.below = below;
    this.key = key;
    this.value = value;
    this.depth = depth;
  }

  getValue(key: symbol): unknown {
    let at: Context = this;
    while (at instanceof LightContext) {
      if (at.key === key) return at.value;
      at = at.below;
    }
    return at.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    if (this.depth < MAX_DEPTH) return new LightContext(this, key, value, this.depth + 1);
    return this.#flatten().setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return this.setValue(key, undefined);
  }

  #flatten(): Context {
    const layers: LightContext[] = [];
    let at: Context = this;
    while (at instanceof LightContext) {
      layers.push(at);
      at = at.below;
    }
    return layers.reduceRight(
      (flat, { key, value }) => (key === undefined ? flat : flat.setValue(key, value)),
      at,
    );
  }
}

/** Beyond this a chain is copied. */
const MAX_DEPTH = 12;

/** The same context, on which values are set lightly. */
export function light(context: Context): Context {
  return context instanceof LightContext ? context : new LightContext(context, undefined, undefined, 0);
}

export const LIGHT_ROOT: Context = light(ROOT_CONTEXT);
