import { GiB } from '../bytes.ts';

/** A size of Azure virtual machines. */
type ComputeSize = { name: string; cores: number; memoryGB: number; dataDisks: number; nics: number };

/** What a machine needs of a size. */
export type Needs = { cpus: number; memoryMB: number; disks: number; nics: number };

const size = (name: string, cores: number, memoryGB: number, most: [disks: number, nics: number]) => ({
  name: `Standard_${name}`,
  cores,
  memoryGB,
  dataDisks: most[0],
  nics: most[1],
});

/**
 * Sizes that are offered in every larger region and take premium disks, smallest first.
 * Source: https://learn.microsoft.com/azure/virtual-machines/sizes
 */
const sizes: readonly ComputeSize[] = [
  size('B1ms', 1, 2, [2, 2]),
  size('B2s', 2, 4, [4, 3]),
  size('B2ms', 2, 8, [4, 3]),
  size('B4ms', 4, 16, [8, 4]),
  size('B8ms', 8, 32, [16, 4]),
  size('F2s_v2', 2, 4, [4, 2]),
  size('F4s_v2', 4, 8, [8, 2]),
  size('F8s_v2', 8, 16, [16, 4]),
  size('F16s_v2', 16, 32, [32, 4]),
  size('F32s_v2', 32, 64, [32, 8]),
  size('D2s_v3', 2, 8, [4, 2]),
  size('D4s_v3', 4, 16, [8, 2]),
  size('D8s_v3', 8, 32, [16, 4]),
  size('D16s_v3', 16, 64, [32, 8]),
  size('D32s_v3', 32, 128, [32, 8]),
  size('D64s_v3', 64, 256, [32, 8]),
  size('D2s_v5', 2, 8, [4, 2]),
  size('D4s_v5', 4, 16, [8, 2]),
  size('D8s_v5', 8, 32, [16, 4]),
  size('D16s_v5', 16, 64, [32, 8]),
  size('D32s_v5', 32, 128, [32, 8]),
  size('E2s_v3', 2, 16, [4, 2]),
  size('E4s_v3', 4, 32, [8, 2]),
  size('E8s_v3', 8, 64, [16, 4]),
  size('E16s_v3', 16, 128, [32, 8]),
  size('E32s_v3', 32, 256, [32, 8]),
];

/** All sizes as ARM answers them, each with what speaks against it for a machine. */
export function computeSizeAnswers(itemId: string, needs: Needs): object[] {
  return sizes.map((one) => ({
    id: `${itemId}/targetComputeSizes/${one.name}`,
    name: one.name,
    type: 'Microsoft.RecoveryServices/vaults/targetComputeSizes',
    properties: {
      name: one.name,
      friendlyName: one.name,
      cpuCoresCount: one.cores,
      vCPUsAvailable: one.cores,
      memoryInGB: one.memoryGB,
      maxDataDiskCount: one.dataDisks,
      maxNicsCount: one.nics,
      errors: objections(one, needs),
      highIopsSupported: 'true',
      hyperVGenerations: ['V1', 'V2'],
    },
  }));
}

/** Too few disks or network cards are errors: the machine could not be made. Too little power is a warning. */
function objections(one: ComputeSize, needs: Needs): { message: string; severity: 'Error' | 'Warning' }[] {
  const found: { message: string; severity: 'Error' | 'Warning' }[] = [];
  const dataDisks = needs.disks - 1;
  if (dataDisks > one.dataDisks) {
    found.push({
      severity: 'Error',
      message: `The machine has ${dataDisks} data disks; ${one.dataDisks} are possible.`,
    });
  }
  if (needs.nics > one.nics) {
    found.push({
      severity: 'Error',
      message: `The machine has ${needs.nics} network cards; ${one.nics} are possible.`,
    });
  }
  if (needs.cpus > one.cores) {
    found.push({
      severity: 'Warning',
      message: `The machine has ${needs.cpus} processors; this size ${one.cores}.`,
    });
  }
  if (needs.memoryMB * 1024 * 1024 > one.memoryGB * GiB) {
    found.push({
      severity: 'Warning',
      message: `The machine has ${needs.memoryMB} MB of memory; this size ${one.memoryGB} GB.`,
    });
  }
  return found;
}
