import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { DomainError } from '../../shared/fault.ts';

/**
 * Runs a program of the system to its end.
 *
 * @returns what it wrote on standard output
 * @throws DomainError RemoteFailure with what it said when it fails or is missing
 */
export async function runProgram(program: string, words: readonly string[]): Promise<string> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => resolve(`it can not be started (${error.code})`));
    child.on('close', (code, signal) => resolve(code === 0 ? '' : `it ended with ${code ?? signal}`));
  });
  const [output, said, failure] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (failure === '') return output;
  throw new DomainError({
    code: 'RemoteFailure',
    message: `'${[program, ...words].join(' ')}' failed: ${failure}. ${said.trim()}`.trim().slice(0, 4_000),
    target: program,
  });
}
