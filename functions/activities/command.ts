import { z } from 'zod';
import { findCommandResult } from '../../shared/command/command-result.ts';
import { CommandBody, CommandResult } from '../../shared/wire/command.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** Puts a command on an appliance's queue. Sent again it has the same id, by which the appliance knows it. */
export const sendCommand = activity(
  'sendCommand',
  {
    input: z.object({
      applianceId: z.string(),
      commandId: z.string(),
      issuedAtMs: z.number(),
      body: CommandBody,
    }),
    output: z.void(),
  },
  async ({ applianceId, ...command }) => {
    await services().commandQueues.send(applianceId, { version: 1, ...command });
  },
);

/** The kept answer to a command, where it has come. */
export const readCommandResult = activity(
  'readCommandResult',
  {
    input: z.object({ vault: VaultRefSchema, applianceId: z.string(), commandId: z.string() }),
    output: z.object({ result: CommandResult.optional() }),
  },
  async ({ vault, applianceId, commandId }) => {
    const result = await findCommandResult(services().table, { vault, applianceId }, commandId);
    return result === undefined ? {} : { result };
  },
);
