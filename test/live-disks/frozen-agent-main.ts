/** An agent in a freeze: `frozen-agent-main.ts LIMIT_MS MOUNT_POINT`. Freezes, says so, and never thaws. */
import { setInterval } from 'node:timers';
import { Freezer } from '../../appliance/mobility-agent/linux/freezer.ts';

const [, , limitMs = '', mountPoint = ''] = process.argv;
const freezer = await Freezer.prepare([mountPoint], Number(limitMs));
await freezer.freeze();
process.stdout.write('frozen\n');
setInterval(() => {}, 60_000);
