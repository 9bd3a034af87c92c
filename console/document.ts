/** A document for programs: a field that has no value is null, so that every field is always there. */
export function toJson(document: unknown, indent?: number): string {
  return JSON.stringify(document, (_, value: unknown) => (value === undefined ? null : value), indent);
}
