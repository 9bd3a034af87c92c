import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ACCESS } from '../orders/access.ts';
import { topology } from '../orders/contract.ts';
import { accessResources } from './terraform/access.ts';
import { terraformFile } from './terraform/document.ts';
import { pubsubResources } from './terraform/pubsub.ts';

/** Writes what Terraform creates: topics and subscriptions, and who may use them. */
const files = {
  'pubsub.tf.json': pubsubResources(topology),
  'access.tf.json': accessResources(ACCESS, topology),
};
for (const [name, resources] of Object.entries(files)) {
  const path = fileURLToPath(new URL(`../deploy/terraform/${name}`, import.meta.url));
  writeFileSync(path, terraformFile(resources));
  console.log(`wrote ${path}`);
}
