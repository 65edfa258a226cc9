#!/usr/bin/env node
import { Command } from 'commander';

import { addLocalCommands } from './local.ts';
import { installedVersion } from './run-part.ts';

const program = new Command('secondsite')
  .description(
    'Disaster recovery for on-premises VMware machines, self-hosted in your own Azure subscription',
  )
  .version(installedVersion())
  .showHelpAfterError();
addLocalCommands(program);
await program.parseAsync();
