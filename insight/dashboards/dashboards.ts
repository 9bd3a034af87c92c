import type { Objective } from '../../shared/objective.ts';
import { campaignsDashboard } from './campaigns.ts';
import { messagingDashboard } from './messaging.ts';
import { ordersDashboard } from './orders.ts';
import type { Dashboard } from './panel.ts';
import { partnersDashboard } from './partners.ts';
import { runtimeDashboard } from './runtime.ts';
import { sagasDashboard } from './sagas.ts';

/** All of them, what customers notice first. */
export function dashboardsOf(objectives: readonly Objective[]): readonly Dashboard[] {
  return [
    ordersDashboard(objectives),
    sagasDashboard,
    messagingDashboard,
    partnersDashboard,
    campaignsDashboard,
    runtimeDashboard,
  ];
}
