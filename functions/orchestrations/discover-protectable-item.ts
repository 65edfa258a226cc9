/** The job that takes a physical machine into a protection container. */
import { z } from 'zod';
import { PhysicalMachine } from '../../shared/discovery/physical-machine.ts';
import { savePhysicalMachine } from '../activities/physical-machine.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const discoverProtectableItem = 'discoverPhysicalMachine';

export const DiscoverProtectableItemInput = z.object({ applianceId: z.uuid(), machine: PhysicalMachine });

jobOrchestration(discoverProtectableItem, DiscoverProtectableItemInput, {
  *run({ context, vault, ...job }, { applianceId, machine }) {
    yield* runTask({ context, vault, ...job }, 'DiscoverProtectableItemTask', () =>
      savePhysicalMachine(context, { vault, applianceId, machine }),
    );
  },
});
