/** A partner's refusal of one effect for one order. */
export interface Fault {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
  /** How often it strikes; `Infinity` for good. */
  readonly times: number;
  readonly status: number;
  readonly reason: string;
}

export interface Call {
  readonly partner: string;
  readonly effect: string;
  readonly orderKey: string;
}

/** The faults that are still to strike, first added first. */
export function createFaults() {
  const faults: { fault: Fault; left: number }[] = [];
  return {
    add(fault: Fault): void {
      faults.push({ fault, left: fault.times });
    },
    next(call: Call): Fault | undefined {
      const entry = faults.find(({ fault, left }) => left > 0 && applies(fault, call));
      if (!entry) return undefined;
      entry.left -= 1;
      return entry.fault;
    },
  };
}

function applies(fault: Fault, call: Call): boolean {
  return fault.partner === call.partner && fault.effect === call.effect && fault.orderKey === call.orderKey;
}
