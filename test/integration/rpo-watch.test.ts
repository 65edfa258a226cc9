import { createHmac, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type AlertWays, sendAlerts } from '../../shared/event/alert.ts';
import { type VaultEvent } from '../../shared/event/event.ts';
import { findEvents } from '../../shared/event/event-store.ts';
import { tellByEmail } from '../../shared/event/tell-email.ts';
import { tellByWebhook } from '../../shared/event/tell-webhook.ts';
import { createPolicy } from '../../shared/policy/policy-store.ts';
import { requestOfTest } from '../../shared/protection/item-of-test.ts';
import { watchedErrors } from '../../shared/protection/item-watch.ts';
import { planEnable } from '../../shared/protection/plan-enable.ts';
import { findItemRow, itemRef } from '../../shared/protection/item-row.ts';
import { insertItem } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { watchVault } from '../../shared/protection/watch-vault.ts';
import { findAnchor, moveAnchor } from '../../shared/recovery/recovery-point-store.ts';
import { Table } from '../../shared/store/table.ts';

const minute = 60_000;
const start = Date.parse('2026-03-01T12:00:00Z');
const secret = 'a secret of sixteen or more';
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

describe('the RPO watch', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let smtp: SMTPServer;
  let hook: Server;
  let ways: AlertWays;
  let hookStatus = 200;
  const mails: string[] = [];
  const posts: { headers: Record<string, unknown>; body: string }[] = [];
  let vaults = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-watch-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
    smtp = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      onData(stream, _, done) {
        const parts: Buffer[] = [];
        stream.on('data', (part: Buffer) => parts.push(part));
        stream.on('end', () => {
          mails.push(Buffer.concat(parts).toString());
          done();
        });
      },
    });
    await new Promise<void>((listening) => {
      smtp.listen(0, '127.0.0.1', listening);
    });
    hook = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        posts.push({ headers: request.headers, body });
        response.writeHead(hookStatus).end();
      });
    });
    await new Promise<void>((listening) => {
      hook.listen(0, '127.0.0.1', listening);
    });
    const email = {
      smtpUrl: `smtp://127.0.0.1:${portOf(smtp.server)}`,
      from: 'secondsite@contoso.example',
      recipients: ['ops@contoso.example'],
    };
    const webhook = { url: `http://127.0.0.1:${portOf(hook)}/`, secret };
    ways = {
      email: (vault, event) => tellByEmail(email, vault, event),
      webhook: (vault, event) => tellByWebhook(webhook, vault, event),
    };
  });

  beforeEach(() => {
    mails.length = 0;
    posts.length = 0;
    hookStatus = 200;
  });

  afterAll(async () => {
    await new Promise<void>((closed) => {
      smtp.close(closed);
    });
    hook.close();
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A vault with one protected item whose policy wants a point every 15 minutes. */
  async function protectedVault(): Promise<{ vault: VaultRef; item: ProtectedItem }> {
    const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: `v${(vaults += 1)}` };
    const policy = {
      name: 'gold',
      policyId: randomUUID(),
      instanceType: 'InMageAzureV2' as const,
      recoveryPointThresholdInMinutes: 15,
      recoveryPointHistory: 1_440,
      crashConsistentFrequencyInMinutes: 5,
      appConsistentFrequencyInMinutes: 60,
      multiVmSyncStatus: 'Enabled' as const,
      automatic: false,
      createdAtMs: 1,
    };
    await createPolicy(table, vault, { policy, twinId: randomUUID() });
    const planned = planEnable(requestOfTest, {
      protectedItemId: randomUUID(),
      jobId: randomUUID(),
      atMs: start,
    });
    const { currentJob: _, ...idle } = planned;
    const item: ProtectedItem = { ...idle, state: 'Protected', protectedAtMs: start };
    await insertItem(table, vault, item);
    return { vault, item };
  }

  async function point(
    vault: VaultRef,
    item: ProtectedItem,
    sequence: number,
    timeMs: number,
  ): Promise<void> {
    const ref = itemRef(vault, item);
    const to = {
      sequence,
      hash: String(sequence),
      newest: { name: randomUUID(), sequence, timeMs },
      firstPointAtMs: start,
    };
    await moveAnchor(table, ref, { points: [], to, from: await findAnchor(table, ref) });
  }

  async function eventsOf(vault: VaultRef): Promise<VaultEvent[]> {
    return (await findEvents(table, vault, { filter: new Map() })).events;
  }

  it('tells once that the threshold is passed, and once that it is met again', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    for (const after of [0, 14, 16, 17, 18, 19]) {
      await watchVault(table, vault, start + after * minute);
      await sendAlerts(table, vault, { ways, nowMs: start + after * minute });
    }
    expect(await eventsOf(vault)).toMatchObject([
      {
        code: 'SRSVMHealthChanged',
        severity: 'Critical',
        atMs: start + 16 * minute,
        description: 'Replication health changed to Critical.',
        affected: { name: item.machine.name },
        healthErrors: [{ errorCode: 'RpoThresholdExceeded' }],
      },
    ]);
    expect(mails).toHaveLength(1);
    expect(mails[0]).toContain('[Critical]');
    const row = await findItemRow(table, vault, item);
    expect(watchedErrors(item, row?.health)).toMatchObject([
      { errorCode: 'RpoThresholdExceeded', errorLevel: 'Error' },
    ]);

    await point(vault, item, 2, start + 20 * minute);
    for (const after of [20, 21, 22]) {
      await watchVault(table, vault, start + after * minute);
      await sendAlerts(table, vault, { ways, nowMs: start + after * minute });
    }
    expect((await eventsOf(vault)).map(({ severity }) => severity)).toEqual(['OK', 'Critical']);
    expect(mails).toHaveLength(2);
    expect(mails[1]).toContain('Replication health changed to Normal.');
    expect(posts).toHaveLength(2);
  });

  it('tells once, however many watches look at the same time', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    const nowMs = start + 30 * minute;
    await Promise.all(Array.from({ length: 4 }, () => watchVault(table, vault, nowMs)));
    await Promise.all(Array.from({ length: 4 }, () => sendAlerts(table, vault, { ways, nowMs })));
    expect(await eventsOf(vault)).toHaveLength(1);
    expect(mails).toHaveLength(1);
    expect(posts).toHaveLength(1);
  });

  it('notices that nothing has moved for an hour', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    await watchVault(table, vault, start);
    await watchVault(table, vault, start + 61 * minute);
    const [newest] = await eventsOf(vault);
    expect(newest?.healthErrors.map(({ errorCode }) => errorCode)).toEqual(['RpoThresholdExceeded', '90078']);
  });

  it('signs what it posts, as a CloudEvent with the event’s own id', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    await watchVault(table, vault, start + 20 * minute);
    await sendAlerts(table, vault, { ways, nowMs: start + 20 * minute });
    const [{ headers, body }] = posts as [(typeof posts)[number]];
    const [event] = await eventsOf(vault);
    expect(JSON.parse(body)).toMatchObject({
      specversion: '1.0',
      id: event?.eventId,
      type: 'com.secondsite.VmHealth.SRSVMHealthChanged',
      source: `/subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/${vault.vaultName}`,
      data: { type: 'Microsoft.RecoveryServices/vaults/replicationEvents' },
    });
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
    const signature = createHmac('sha256', secret).update(signed).digest('base64');
    expect(headers).toMatchObject({
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'webhook-id': event?.eventId,
      'webhook-signature': `v1,${signature}`,
    });
  });

  it('tries a way again that failed, later, and no other', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    const breachMs = start + 20 * minute;
    await watchVault(table, vault, breachMs);
    hookStatus = 503;
    const problems = await sendAlerts(table, vault, { ways, nowMs: breachMs });
    expect(problems).toMatchObject([{ way: 'webhook', message: 'the webhook answered 503' }]);
    hookStatus = 200;
    await sendAlerts(table, vault, { ways, nowMs: breachMs + 1_000 });
    expect(posts).toHaveLength(1);
    await sendAlerts(table, vault, { ways, nowMs: breachMs + 5 * minute });
    await sendAlerts(table, vault, { ways, nowMs: breachMs + 60 * minute });
    expect(posts).toHaveLength(2);
    expect(mails).toHaveLength(1);
  });

  it('does not repeat a try that a host died at', async () => {
    const { vault, item } = await protectedVault();
    await point(vault, item, 1, start);
    const nowMs = start + 20 * minute;
    await watchVault(table, vault, nowMs);
    // A try that never comes back, as one whose host was killed.
    const dead = { ...ways, email: () => new Promise<void>(() => {}) };
    void sendAlerts(table, vault, { ways: dead, nowMs });
    await expect
      .poll(async () => {
        await sendAlerts(table, vault, {
          ways: { email: undefined, webhook: ways.webhook },
          nowMs: nowMs - 1,
        });
        const { entities } = await table.page({
          partition: `s!g!${vault.vaultName}`,
          from: 'alerts!',
          to: 'alerts"',
        });
        return JSON.stringify(entities);
      })
      .toContain('trying');
    await sendAlerts(table, vault, { ways, nowMs: nowMs + 60 * minute });
    expect(mails).toEqual([]);
    expect(posts).toHaveLength(1);
  });

  it('leaves alone what is being enabled or disabled', async () => {
    const { vault, item } = await protectedVault();
    const leaving: ProtectedItem = {
      ...item,
      itemName: 'leaving',
      protectedItemId: randomUUID(),
      state: 'DisablingProtection',
    };
    await insertItem(table, vault, leaving);
    await point(vault, leaving, 1, start);
    await watchVault(table, vault, start + 90 * minute);
    expect((await eventsOf(vault)).every(({ affected }) => affected.id !== leaving.protectedItemId)).toBe(
      true,
    );
  });
});
