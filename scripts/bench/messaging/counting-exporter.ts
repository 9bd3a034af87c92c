import type { SpanExporter } from '../../../shared/trace/telemetry.ts';

/** Takes spans as any exporter does, and only counts them: what is measured is the tracing, not a network. */
export function createCountingExporter(): SpanExporter & { readonly count: number } {
  let exported = 0;
  return {
    get count() {
      return exported;
    },
    export(spans, resultCallback) {
      exported += spans.length;
      resultCallback({ code: 0 });
    },
    shutdown: async () => {},
    forceFlush: async () => {},
  };
}
