/** What a vault holds and how that is doing: what usages and vault health are made of. */
import { type VaultRef, childIdOf } from '../arm/resource-id.ts';
import { findEvents } from '../event/event-store.ts';
import { listAppliances } from '../fabric/appliance.ts';
import { viewAppliance } from '../fabric/appliance-view.ts';
import { type ApplianceView, healthErrorsOf } from '../fabric/fabric-answer.ts';
import { type HealthError } from '../fabric/health-error.ts';
import { isOver } from '../job/job.ts';
import { listJobs } from '../job/job-store.ts';
import { replicationErrors } from '../protection/item-health.ts';
import { listItemRows } from '../protection/item-row.ts';
import { type Table } from '../store/table.ts';

/** Something of the vault, by the id that clients correlate it by, and what is wrong with it. */
type Checked = { correlationId: string; errors: HealthError[] };

/** Jobs and events are counted this far back, as the real service does. */
const countedMs = 24 * 3_600_000;

/** Everything that a vault's health follows from. */
export async function checkVault(
  table: Table,
  vault: VaultRef,
): Promise<{ views: ApplianceView[]; fabrics: Checked[]; items: Checked[] }> {
  const appliances = await listAppliances(table, vault);
  const views = await Promise.all(appliances.map((appliance) => viewAppliance(table, vault, appliance)));
  const fabrics = views.map((view) => ({
    correlationId: view.appliance.applianceId,
    errors: healthErrorsOf(view),
  }));
  return { views, fabrics, items: await checkItems(table, vault) };
}

async function checkItems(table: Table, vault: VaultRef): Promise<Checked[]> {
  const checked: Checked[] = [];
  let continuation: string | undefined;
  do {
    const page = await listItemRows(table, vault, { continuation });
    for (const { item, progress, anchor } of page.rows) {
      const errors = replicationErrors(item, { progress, anchor });
      checked.push({ correlationId: item.protectedItemId, errors });
    }
    continuation = page.continuation;
  } while (continuation !== undefined);
  return checked;
}

/** How the vault's jobs of the last day stand. */
async function countJobs(table: Table, vault: VaultRef, nowMs: number) {
  const counts = { failedJobs: 0, suspendedJobs: 0, inProgressJobs: 0 };
  let continuation: string | undefined;
  do {
    const page = await listJobs(table, vault, { continuation });
    for (const { value: job } of page.rows) {
      if (nowMs - job.startedAtMs > countedMs) return counts;
      if (job.state === 'Failed') counts.failedJobs += 1;
      if (!isOver(job.state)) counts.inProgressJobs += 1;
    }
    continuation = page.continuation;
  } while (continuation !== undefined);
  return counts;
}

/** How many events the vault had in the last day. */
async function countEvents(table: Table, vault: VaultRef, nowMs: number): Promise<number> {
  const filter = new Map([['starttime', new Date(nowMs - countedMs).toISOString()]]);
  let count = 0;
  let continuation: string | undefined;
  do {
    const page = await findEvents(table, vault, { filter, continuation });
    count += page.events.length;
    continuation = page.continuation;
  } while (continuation !== undefined);
  return count;
}

/** The list at `usages`: what there is; Secondsite sets no limits of its own. */
export async function vaultUsages(table: Table, vault: VaultRef) {
  const { fabrics, items } = await checkVault(table, vault);
  return [
    usage('ProtectedItemCount', items.length),
    usage('RegisteredServersCount', fabrics.length),
    usage('RecoveryPlanCount', 0),
  ];
}

/** The list at `replicationUsages`. */
export async function replicationUsages(table: Table, vault: VaultRef, nowMs: number) {
  const [{ fabrics, items }, jobsSummary, eventsCount] = await Promise.all([
    checkVault(table, vault),
    countJobs(table, vault, nowMs),
    countEvents(table, vault, nowMs),
  ]);
  return [
    {
      monitoringSummary: {
        unHealthyVmCount: items.filter(({ errors }) => errors.length > 0).length,
        unHealthyProviderCount: fabrics.filter(({ errors }) => errors.length > 0).length,
        eventsCount,
        deprecatedProviderCount: 0,
        supportedProviderCount: fabrics.length,
        unsupportedProviderCount: 0,
      },
      jobsSummary,
      protectedItemCount: items.length,
      recoveryPlanCount: 0,
      registeredServersCount: fabrics.length,
      recoveryServicesProviderAuthType: 1,
    },
  ];
}

function usage(name: string, currentValue: number) {
  return { unit: 'Count', currentValue, limit: -1, name: { value: name, localizedValue: name } };
}

/** The answer of replicationVaultHealth. */
export async function vaultHealthAnswer(table: Table, vault: VaultRef) {
  const { fabrics, items } = await checkVault(table, vault);
  return {
    id: childIdOf(vault, [['replicationVaultHealth', 'Default']]),
    name: 'Default',
    type: 'Microsoft.RecoveryServices/vaults/replicationVaultHealth',
    properties: {
      vaultErrors: [],
      protectedItemsHealth: summaryOf('replicationProtectedItems', items),
      fabricsHealth: summaryOf('replicationFabrics', fabrics),
      containersHealth: { resourceCount: fabrics.length, issues: [], categorizedResourceCounts: {} },
    },
  };
}

/** Errors of one code are told once, with all that they affect. */
function summaryOf(affectedResourceType: string, checked: readonly Checked[]) {
  const found = checked.flatMap(({ correlationId, errors }) =>
    errors.map((error) => ({ correlationId, error })),
  );
  const issues = [...Map.groupBy(found, ({ error }) => error.errorCode)].map(([summaryCode, of]) => ({
    summaryCode,
    category: of[0]?.error.errorCategory ?? 'None',
    severity: of.some(({ error }) => error.errorLevel === 'Error') ? 'Error' : 'Warning',
    summaryMessage: of[0]?.error.summaryMessage ?? '',
    affectedResourceType,
    affectedResourceSubtype: '',
    affectedResourceCorrelationIds: [...new Set(of.map(({ correlationId }) => correlationId))],
  }));
  const words = checked.map(({ errors }) => {
    if (errors.length === 0) return 'Normal';
    return errors.some(({ errorLevel }) => errorLevel === 'Error') ? 'Critical' : 'Warning';
  });
  const categorizedResourceCounts = Object.fromEntries(
    ['Normal', 'Warning', 'Critical'].map((word) => [word, words.filter((one) => one === word).length]),
  );
  return { resourceCount: checked.length, issues, categorizedResourceCounts };
}
