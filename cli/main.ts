#!/usr/bin/env node
import { Command } from 'commander';

import { addApplianceCommands } from './appliance.ts';
import { addAgentCommands } from './agent.ts';
import { addLocalCommands } from './local.ts';
import { addReplicationCommands } from './replication.ts';
import { installedVersion } from './run-part.ts';
import { tellError } from './tell-error.ts';
import { addVaultCommands } from './vault.ts';

const program = new Command('secondsite')
  .description(
    'Disaster recovery for on-premises VMware machines, self-hosted in your own Azure subscription',
  )
  .version(installedVersion())
  .showHelpAfterError();
addAgentCommands(program);
addLocalCommands(program);
addApplianceCommands(program);
addVaultCommands(program);
addReplicationCommands(program);
await program.parseAsync().catch(tellError);
