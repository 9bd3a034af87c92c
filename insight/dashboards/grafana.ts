import { prometheusName } from '../objectives/query.ts';
import type { Dashboard, Line, Panel, Unit, Variable } from './panel.ts';
import { placed } from './placing.ts';
import { seriesOf } from './query.ts';

/**
 * A dashboard as Grafana's JSON, which its provisioning reads.
 *
 * Source: Grafana, "Dashboard JSON model", schema version 39 (Grafana 11); newer ones migrate it when they load it.
 */
export function dashboardFile(dashboard: Dashboard): string {
  return `${JSON.stringify(grafanaDashboard(dashboard), undefined, 2)}\n`;
}

const SOURCE = { type: 'prometheus', uid: `\${datasource}` };
/** Grafana's names of units. */
const UNITS: Readonly<Record<Unit, string>> = {
  count: 'short',
  'per second': 'cps',
  'per minute': 'cpm',
  seconds: 's',
  share: 'percentunit',
  cores: 'none',
  bytes: 'bytes',
  times: 'short',
};

function grafanaDashboard({ name, title, about, variables, sections }: Dashboard): object {
  return {
    uid: `throughline-${name}`,
    title: `Throughline: ${title}`,
    description: about,
    tags: ['throughline'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1, // the crosshair is in all panels at once
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    timezone: 'browser',
    links: [link({ type: 'dashboards', title: 'Throughline', tags: ['throughline'], icon: 'external link' })],
    templating: { list: [sourceVariable(), ...variables.map(grafanaVariable), runbooksVariable()] },
    panels: placed(sections.map(({ title, panels }) => ({ title, panels: panels.map(sized) }))).map(
      (panel, index) => ({ id: index + 1, ...panel }),
    ),
  };
}

function sourceVariable(): object {
  return {
    name: 'datasource',
    label: 'Prometheus',
    type: 'datasource',
    query: 'prometheus',
    current: { text: 'Prometheus', value: 'prometheus' },
  };
}

function grafanaVariable({ name, label, metric, of }: Variable): object {
  const query = `label_values(${seriesOf(metric)}, ${prometheusName(of)})`;
  return {
    ...{ name, label, type: 'query', datasource: SOURCE, query: { query, refId: name } },
    ...{ refresh: 2, sort: 1, multi: true, includeAll: true, allValue: '.*' },
    current: { text: 'All', value: '$__all' },
  };
}

/** Where the folder of runbooks is to be read: the address of a repository's page, typed in by whoever has one. */
function runbooksVariable(): object {
  const options = [{ text: RUNBOOKS, value: RUNBOOKS, selected: true }];
  return {
    name: 'runbooks',
    label: 'Runbooks at',
    type: 'textbox',
    query: RUNBOOKS,
    current: options[0],
    options,
  };
}

const RUNBOOKS = 'docs/runbooks';

function sized(panel: Panel) {
  return panel.as === 'number'
    ? { width: 6, height: 4, content: numberPanel(panel) }
    : { width: 8, height: 8, content: graphPanel(panel) };
}

function graphPanel(panel: Panel): object {
  const isStack = panel.as === 'stack';
  return {
    type: 'timeseries',
    ...common(panel),
    targets: panel.lines.map((line, index) => ({ ...target(line, index), range: true })),
    fieldConfig: {
      defaults: {
        ...scale(panel),
        custom: {
          ...{ drawStyle: 'line', lineWidth: 1, fillOpacity: isStack ? 25 : 5, showPoints: 'auto' },
          ...{ spanNulls: false, stacking: { mode: isStack ? 'normal' : 'none', group: 'A' } },
          thresholdsStyle: { mode: panel.limit === undefined ? 'off' : 'line' },
        },
      },
      overrides: [],
    },
    options: {
      legend: { showLegend: true, displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  };
}

function numberPanel(panel: Panel): object {
  return {
    type: 'stat',
    ...common(panel),
    targets: panel.lines.map((line, index) => ({ ...target(line, index), instant: true, range: false })),
    fieldConfig: { defaults: { ...scale(panel), noValue: 'none' }, overrides: [] },
    options: {
      ...{ reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, graphMode: 'none' },
      ...{ colorMode: panel.limit === undefined ? 'none' : 'background', textMode: 'value' },
    },
  };
}

function common({ title, help, alerts = [] }: Panel): object {
  const links = alerts.map((alert) =>
    link({
      ...{ type: 'link', title: `Runbook: ${alert}`, tags: [], icon: 'doc' },
      ...{ url: `\${runbooks}/${pageOf(alert)}`, targetBlank: true },
    }),
  );
  const pages = alerts.map((alert) => `${alert}: ${RUNBOOKS}/${pageOf(alert)}`);
  return { title, description: [help, ...pages].join('\n\n'), datasource: SOURCE, links };
}

interface Link {
  readonly type: 'link' | 'dashboards';
  readonly title: string;
  /** `dashboards`: those that bear these. */
  readonly tags: readonly string[];
  readonly icon: string;
  readonly url?: string;
  readonly targetBlank?: boolean;
}

function link({ targetBlank = false, ...one }: Link): object {
  const isList = one.type === 'dashboards';
  return { ...one, tooltip: '', asDropdown: isList, keepTime: isList, includeVars: false, targetBlank };
}

/** `SagaFailed` → `saga-failed.md` */
function pageOf(alert: string): string {
  return `${alert.replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}.md`;
}

function target({ query, legend }: Line, index: number): object {
  return { refId: String.fromCharCode(65 + index), datasource: SOURCE, expr: query, legendFormat: legend };
}

function scale({ unit, limit, as }: Panel): object {
  const bad = limit === undefined ? [] : [{ color: 'red', value: limit }];
  return {
    unit: UNITS[unit],
    min: 0,
    ...(unit === 'share' && as !== 'number' && { max: 1 }),
    ...(unit === 'count' && { decimals: 0 }),
    thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }, ...bad] },
  };
}
