/** Entry of the function app: each import registers functions. The catch-all is named last on purpose: see there. */
import './http/catch-all.ts';
import './http/jobs.ts';
import './http/mappings.ts';
import './http/policies.ts';
import './http/protected-items.ts';
import './http/recovery-points.ts';
import './http/appliances.ts';
import './http/fabrics.ts';
import './http/operations.ts';
import './http/vaults.ts';
import './http/providers.ts';
import './http/protectable-items.ts';
import './http/vcenters.ts';
import './orchestrations/fabric-jobs.ts';
import './messages/check-ins.ts';
import './http/target-environment.ts';
