import { createTraceState, type TraceState } from '@opentelemetry/api';

/**
 * A `tracestate` whose only member is OpenTelemetry's own (`ot=rv:…;th:…`): what our sampler writes.
 *
 * One string in place of a map; whatever else is set makes an ordinary one of it.
 */
export class OtTraceState implements TraceState {
  readonly ot: string;
  #values: OtValues | undefined;

  constructor(ot: string) {
    this.ot = ot;
  }

  get values(): OtValues {
    this.#values ??= parse(this.ot);
    return this.#values;
  }

  get(key: string): string | undefined {
    return key === OT ? this.ot : undefined;
  }

  set(key: string, value: string): TraceState {
    return this.#ordinary().set(key, value);
  }

  unset(key: string): TraceState {
    return this.#ordinary().unset(key);
  }

  serialize(): string {
    return `${OT}=${this.ot}`;
  }

  #ordinary(): TraceState {
    return createTraceState(this.serialize());
  }
}

/** The vendor key that the specification reserves for OpenTelemetry. */
const OT = 'ot';
const MAX_OT_CHARS = 256;
const ONLY_OT = /^ot=([a-z][a-z0-9]*:[A-Za-z0-9._-]*(?:;[a-z][a-z0-9]*:[A-Za-z0-9._-]*)*)$/;

/** The header of an order is read about ten times in a process, and is the same each time. */
const REMEMBERED = 10_000;
let remembered = new Map<string, OtTraceState>();

/** Shape: undefined when there are other members, or it is not well-formed; the library's propagator reads those. */
export function readOtTraceState(header: string): OtTraceState | undefined {
  const known = remembered.get(header);
  if (known) return known;
  if (header.length > MAX_OT_CHARS) return undefined;
  const ot = ONLY_OT.exec(header)?.[1];
  if (ot === undefined) return undefined;
  const state = new OtTraceState(ot);
  if (remembered.size >= REMEMBERED) remembered = new Map();
  remembered.set(header, state);
  return state;
}

/** What the `ot` member says, without a guarantee of anything: it may be a stranger's. */
export interface OtValues {
  /** 14 lower-case hex digits: the explicit randomness. */
  readonly rv: string | undefined;
  /** The threshold below which a trace was rejected, as 14 hex digits. */
  readonly th: string | undefined;
  /** Other sub-keys, to be passed on. */
  readonly others: readonly string[];
}

const RANDOMNESS = /^[0-9a-f]{14}$/;
const THRESHOLD = /^[0-9a-f]{1,14}$/;
const NOTHING: OtValues = { rv: undefined, th: undefined, others: [] };

/** Errors: none; what is malformed counts as absent. */
export function otValues(state: TraceState | undefined): OtValues {
  if (state instanceof OtTraceState) return state.values;
  const ot = state?.get(OT);
  return ot === undefined ? NOTHING : parse(ot);
}

function parse(ot: string): OtValues {
  if (ot.length > MAX_OT_CHARS) return NOTHING;
  let rv: string | undefined;
  let th: string | undefined;
  const others: string[] = [];
  for (const part of ot.split(';')) {
    if (part.startsWith('rv:')) rv = RANDOMNESS.test(part.slice(3)) ? part.slice(3) : undefined;
    else if (part.startsWith('th:'))
      th = THRESHOLD.test(part.slice(3)) ? part.slice(3).padEnd(14, '0') : undefined;
    else if (part !== '') others.push(part);
  }
  return { rv, th, others };
}

/** The same `tracestate` with these values in its `ot` member; other vendors' members stay. */
export function withOtValues(
  state: TraceState | undefined,
  { rv, th, others }: OtValues,
): TraceState | undefined {
  const parts = [
    ...(rv === undefined ? [] : [`rv:${rv}`]),
    ...(th === undefined ? [] : [`th:${th.replace(/0+$/, '') || '0'}`]),
    ...others,
  ];
  const isOrdinary = state !== undefined && !(state instanceof OtTraceState);
  if (isOrdinary) return parts.length === 0 ? state.unset(OT) : state.set(OT, parts.join(';'));
  return parts.length === 0 ? undefined : new OtTraceState(parts.join(';'));
}
