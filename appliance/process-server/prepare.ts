import { DomainError } from '../../shared/fault.ts';
import type { AgentDisk } from '../../shared/wire/agent.ts';
import type { AgentStatus } from '../../shared/wire/check-in.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import type { AgentRegistry } from './agent-registry.ts';

/** An agent polls twice a minute; after this it is taken to be away. */
const awayAfterMs = 90_000;

/**
 * Waits for the machine's agent.
 *
 * @throws DomainError RemoteFailure when its disks are not those wanted; the signal's reason when it is aborted
 */
export function waitForAgent(
  agents: AgentRegistry,
  wanted: { biosUuid: string; disks: readonly DiskRef[] },
  signal: AbortSignal,
): Promise<AgentStatus> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const found = agents.find(wanted.biosUuid.toLowerCase());
      // An agent that has not polled since this start has told no disks yet.
      if (!found || found.disks.length === 0 || found.status.lastHeartbeatMs < Date.now() - awayAfterMs)
        return;
      const hasTold = ({ diskId }: DiskRef): boolean => found.disks.some((disk) => disk.diskId === diskId);
      if (found.looksForDisks && !wanted.disks.every(hasTold)) return; // it is looking
      stop();
      const fault = firstFault(wanted.disks, found.disks);
      if (fault) reject(fault);
      else resolve(found.status);
    };
    const abort = (): void => {
      stop();
      reject(signal.reason instanceof Error ? signal.reason : new Error('Stopped waiting for the agent.'));
    };
    const stopListening = agents.onChange(look);
    const stopWanting = agents.want(wanted.biosUuid.toLowerCase(), wanted.disks);
    const stop = (): void => {
      stopListening();
      stopWanting();
      signal.removeEventListener('abort', abort);
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else look();
  });
}

function firstFault(wanted: readonly DiskRef[], found: readonly AgentDisk[]): DomainError | undefined {
  for (const { diskId, sizeBytes } of wanted) {
    const disk = found.find((candidate) => candidate.diskId === diskId);
    if (!disk) {
      return mismatch(
        diskId,
        `The mobility agent knows no disk ${diskId}.`,
        'Start the agent with --disk for it.',
      );
    }
    if (disk.fault) return new DomainError({ ...disk.fault, code: 'RemoteFailure', target: diskId });
    if (disk.sizeBytes !== sizeBytes) {
      const sizes = `vCenter says ${sizeBytes} bytes, the mobility agent sees ${disk.sizeBytes ?? 0}`;
      return mismatch(
        diskId,
        `The disk ${diskId} has another size: ${sizes}.`,
        'Refresh the server, then try again.',
      );
    }
  }
  return undefined;
}

function mismatch(target: string, message: string, recommendedAction: string): DomainError {
  return new DomainError({ code: 'RemoteFailure', message, target, recommendedAction });
}
