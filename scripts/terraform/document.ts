/** Terraform's resources in its JSON syntax: type, then the resource's own name, then its arguments. */
export type Resources = Readonly<Record<string, Readonly<Record<string, Arguments>>>>;
export type Arguments = Readonly<Record<string, unknown>>;

/** A file in Terraform's JSON syntax, as text. */
export function terraformFile(resource: Resources): string {
  const note =
    'Generated from orders/contract.ts and orders/access.ts by `node scripts/terraform.ts`; tests compare them.';
  return `${JSON.stringify({ '//': note, resource }, null, 2)}\n`;
}

/** The name that a topic, a subscription or an account has within Terraform. */
export function nameOf(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

/** An expression that Terraform evaluates: `google_pubsub_topic.workspace_jobs.id`. */
export function reference(type: string, name: string, attribute: string): string {
  return `\${${type}.${nameOf(name)}.${attribute}}`;
}
