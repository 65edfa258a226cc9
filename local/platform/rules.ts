import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';

const Rule = z.object({
  name: z.string(),
  key: z.base64(),
  rights: z.array(z.enum(['Manage', 'Send', 'Listen'])),
});

/** A shared access rule of the Service Bus namespace. */
export type Rule = z.infer<typeof Rule>;

const Rules = z.object({ root: Rule, applianceSend: Rule, applianceListen: Rule });

/** The namespace's rules of a data folder, with random keys (`service-bus-rules.json`, mode 600). */
export function ensureRules(dataFolder: string): z.infer<typeof Rules> {
  return ensureJsonFile(join(dataFolder, 'service-bus-rules.json'), Rules, () => ({
    root: makeRule('RootManageSharedAccessKey', 'Manage', 'Send', 'Listen'),
    applianceSend: makeRule('appliance-send', 'Send'),
    applianceListen: makeRule('appliance-listen', 'Listen'),
  }));
}

function makeRule(name: string, ...rights: Rule['rights']): Rule {
  return { name, key: randomBytes(32).toString('base64'), rights };
}
