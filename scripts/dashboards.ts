import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dashboardsOf } from '../insight/dashboards/dashboards.ts';
import { dashboardFile } from '../insight/dashboards/grafana.ts';
import { OBJECTIVES } from '../orders/objectives.ts';

/** Writes Grafana's dashboards. */
const folder = fileURLToPath(new URL('../deploy/grafana/dashboards/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const dashboard of dashboardsOf(OBJECTIVES)) {
  const path = `${folder}${dashboard.name}.json`;
  writeFileSync(path, dashboardFile(dashboard));
  console.log(`wrote ${path}`);
}
