/**
 * How this kernel writes its trace pages and the block event: read from tracefs' own description, because offsets and
 * sizes differ between kernels.
 */

/** Where a value stands, in bytes. */
export interface TraceField {
  offset: number;
  size: number;
}

/** A page as `per_cpu/cpuN/trace_pipe_raw` gives it. */
export interface PageLayout {
  commit: TraceField;
  /** Where the events begin, and how many bytes of them a page holds. */
  data: TraceField;
  pageBytes: number;
}

/** The fields of `block_rq_complete` that are looked at; offsets within the event's payload. */
export interface EventLayout {
  id: number;
  type: TraceField;
  device: TraceField;
  sector: TraceField;
  sectors: TraceField;
  operation: TraceField;
}

/** The kernel's trace is not what is understood here: nothing that it says may be relied on. */
export class UnknownTraceFormat extends Error {
  override readonly name = 'UnknownTraceFormat';
}

/** Reads `events/header_page`. @throws UnknownTraceFormat */
export function parsePageLayout(description: string): PageLayout {
  const commit = fieldOf(description, 'commit', [4, 8]);
  const data = fieldOf(description, 'data');
  const pageBytes = data.offset + data.size;
  if (commit.offset + commit.size > data.offset || pageBytes > 1024 * 1024)
    throw new UnknownTraceFormat(`a trace page of ${pageBytes} bytes with data at ${data.offset}`);
  return { commit, data, pageBytes };
}

/** Reads the event's `format`. @throws UnknownTraceFormat */
export function parseEventLayout(description: string): EventLayout {
  const id = /^ID: (?<id>\d+)$/mu.exec(description)?.groups?.['id'];
  if (id === undefined) throw new UnknownTraceFormat('the event has no ID');
  return {
    id: Number(id),
    type: fieldOf(description, 'common_type', [2]),
    device: fieldOf(description, 'dev', [4]),
    sector: fieldOf(description, 'sector', [8]),
    sectors: fieldOf(description, 'nr_sector', [4]),
    operation: fieldOf(description, 'rwbs'),
  };
}

const line = /^\s*field:\s*(?<declaration>[^;]+);\s*offset:\s*(?<offset>\d+);\s*size:\s*(?<size>\d+);/u;

function fieldOf(description: string, name: string, sizes?: readonly number[]): TraceField {
  for (const text of description.split('\n')) {
    const found = line.exec(text)?.groups;
    const declared = found?.['declaration']
      ?.split(/\s+/u)
      .at(-1)
      ?.replace(/\[\d*\]$/u, '');
    if (!found || declared !== name) continue;
    const field = { offset: Number(found['offset']), size: Number(found['size']) };
    if (field.size > 0 && (sizes === undefined || sizes.includes(field.size))) return field;
    throw new UnknownTraceFormat(`the field ${name} has ${field.size} bytes`);
  }
  throw new UnknownTraceFormat(`there is no field ${name}`);
}
