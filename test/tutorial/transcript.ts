/** A tutorial in Markdown whose shell blocks are run, and whose text blocks are what they printed. */

/** One shell block. */
export type Step = {
  command: string;
  /** Runs on in a terminal of its own; ready when it prints this. */
  runsUntil: string | undefined;
  /** What it prints says something of the machine it ran on, so another machine prints something else. */
  ofThisMachine: boolean;
  /** What it printed, as the document has it. */
  output: string;
};

/** Words between steps as they are, or a step. */
export type Part = string | Step;

const stepPattern =
  /(?:<!-- (?<note>runs on until: (?<until>[^\n]+)|of this machine) -->\n\n?)?```sh\n(?<command>[^]*?)\n```\n(?:\n```text\n(?<output>[^]*?)\n?```\n)?/gu;

/** Cuts a tutorial into its words and its steps. */
export function parseTutorial(markdown: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const match of markdown.matchAll(stepPattern)) {
    const { note, until, command = '', output = '' } = match.groups ?? {};
    parts.push(markdown.slice(at, match.index));
    parts.push({ command, runsUntil: until, ofThisMachine: note === 'of this machine', output });
    at = match.index + match[0].length;
  }
  parts.push(markdown.slice(at));
  return parts;
}

/** The tutorial as Markdown again. */
export function formatTutorial(parts: readonly Part[]): string {
  return parts.map((part) => (typeof part === 'string' ? part : formatStep(part))).join('');
}

function formatStep({ command, runsUntil, ofThisMachine, output }: Step): string {
  const note =
    runsUntil === undefined ? (ofThisMachine ? 'of this machine' : '') : `runs on until: ${runsUntil}`;
  const lines = [...(note === '' ? [] : [`<!-- ${note} -->`, '']), '```sh', command, '```', ''];
  if (output !== '') lines.push('```text', output, '```', '');
  return lines.join('\n');
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/giu;

/** The same text for every run: without what is new each time, such as ids, times, ports and fingerprints. */
export function settle(output: string): string {
  return output
    .replaceAll(uuid, 'GUID')
    .replaceAll(/\b[0-9a-f]{64}\b/giu, 'HEX')
    .replaceAll(/\b[0-9A-F]{2}(?::[0-9A-F]{2}){31}\b/gu, 'FINGERPRINT')
    .replaceAll(/\d{4}-\d{2}-\d{2}T\d{2}(?::|%3A)\d{2}(?::|%3A)\d{2}(?:\.\d+)?(?:Z|\+00:00)/gu, 'TIME')
    .replaceAll(/(localhost|127\.0\.0\.1):\d+/gu, '$1:PORT')
    .replaceAll(/ :\d{4,5}\b/gu, ' :PORT')
    .replaceAll(/"port":\d+/gu, '"port":PORT')
    .replaceAll(/ {2,}/gu, '  ')
    .trim();
}
