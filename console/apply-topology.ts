import { SpanKind } from '@opentelemetry/api';
import {
  applyTopology,
  formatChange,
  inSpan,
  type PubSubConnection,
  type Topology,
  type TopologyChange,
} from '../shared/index.ts';
import { auditAction, type Via } from '../shared/operator-action.ts';
import { storableText } from '../shared/storable.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';

export interface ApplyTopologyOptions {
  readonly connection: PubSubConnection;
  readonly topology: Topology;
  /** What the operator was shown, and the audit is told: written before it is done, because the two cannot commit together. */
  readonly changes: readonly TopologyChange[];
  /** Undefined: there is no audit to write to. */
  readonly audit: SqlClient | undefined;
  readonly actor: string;
  readonly via: Via;
}

/** An operator's `applyTopology`: audited and traced. Errors: as `applyTopology`; DatabaseUnavailableError. */
export async function operateTopology(options: ApplyTopologyOptions): Promise<TopologyChange[]> {
  const { connection, topology, changes, audit, actor, via } = options;
  return inSpan('operate topology.apply', { kind: SpanKind.INTERNAL }, async () => {
    if (audit)
      await auditAction(audit, {
        actor: storableText(actor),
        via,
        action: 'topology.apply',
        target: `project ${connection.projectId}`,
        reason: undefined,
        details: { changes: changes.map(formatChange) },
      });
    return applyTopology(connection, topology);
  });
}
