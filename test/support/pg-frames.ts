/** One message of PostgreSQL's wire protocol (version 3), with its bytes as they came. */
export interface Frame {
  /** `Q`, `P`, `B` … as the protocol names them; empty for the start-up message, which has no type. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** Cuts a stream into messages; what is not whole yet waits for the rest. `hasStartup`: the first one has no type. */
export function createFrames({ hasStartup }: { readonly hasStartup: boolean }): (chunk: Buffer) => Frame[] {
  let rest: Buffer = Buffer.alloc(0);
  let isStartup = hasStartup;
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      const typeBytes = isStartup ? 0 : 1;
      if (rest.length < typeBytes + 4) return frames;
      const bytes = typeBytes + rest.readInt32BE(typeBytes);
      if (rest.length < bytes) return frames;
      const type = isStartup ? '' : String.fromCharCode(rest[0] ?? 0);
      frames.push({ type, bytes: rest.subarray(0, bytes) });
      rest = rest.subarray(bytes);
      isStartup = false;
    }
  };
}
