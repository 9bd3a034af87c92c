import type protobuf from 'protobufjs/light.js';

type Field = readonly [id: number, type: string, rule?: 'repeated'];

/** A message's part of a protobufjs descriptor: its fields by name, as `[id, type]` or `[id, type, 'repeated']`. */
export function message(fields: Record<string, Field>): protobuf.IType {
  const entries = Object.entries(fields).map(([name, [id, type, rule]]) => [
    name,
    { id, type, ...(rule && { rule }) },
  ]);
  return { fields: Object.fromEntries(entries) };
}
