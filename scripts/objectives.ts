import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rulesFile } from '../insight/objectives/rules.ts';
import { OBJECTIVES } from '../orders/objectives.ts';

/** Writes the objectives' recording rules and alerts. */
const path = fileURLToPath(new URL('../deploy/prometheus/objectives.rules.yml', import.meta.url));
writeFileSync(path, rulesFile(OBJECTIVES));
console.log(`wrote ${path}`);
