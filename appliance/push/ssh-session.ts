import { Client, type ClientChannel } from 'ssh2';
import { pushError } from './push-error.ts';

/** With what a machine is entered. */
export interface SshLogin {
  userName: string;
  password: string;
  privateKey?: string | undefined;
}

/** What a command on the machine came to. */
export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** What is given to a command on standard input, and who hears how much of it has gone. */
export interface Input {
  parts: readonly (string | Buffer)[];
  onSent?: (sentBytes: number) => void;
}

const connectMs = 20_000;
const keepAliveMs = 10_000;
const tidyMs = 10_000;
const outputBytesAtMost = 64 * 1024;
const chunkBytes = 256 * 1024;

/** One SSH connection to a machine. Nothing secret is ever part of a command line. */
export class SshSession {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  /** Our own address on the way there: the machine reaches us at it. */
  readonly localAddress: string;

  private constructor(client: Client, localAddress: string, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.localAddress = localAddress;
  }

  /**
   * Connects and logs in.
   *
   * @param accept decides about the host's key; what it throws is what the connection fails with
   * @throws DomainError RemoteFailure with the code of what stands against it; the signal's reason
   */
  static async connect(
    place: { address: string; port: number },
    login: SshLogin,
    accept: (hostKey: Buffer) => void,
    signal: AbortSignal,
  ): Promise<SshSession> {
    signal.throwIfAborted();
    const client = new Client();
    const { address, port } = place;
    let refused: unknown;
    try {
      await new Promise<void>((resolve, reject) => {
        client.on('ready', resolve);
        client.on('error', reject);
        client.on('close', () => reject(new Error('the connection was closed')));
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        // Some servers take passwords by this question and answer only.
        client.on('keyboard-interactive', (...[, , , prompts, answer]) =>
          answer(prompts.map(({ echo }) => (echo === true ? login.userName : login.password))),
        );
        client.connect({
          host: address,
          port,
          username: login.userName,
          ...(login.password === '' ? {} : { password: login.password, tryKeyboard: true }),
          ...(login.privateKey === undefined ? {} : { privateKey: login.privateKey }),
          readyTimeout: connectMs,
          keepaliveInterval: keepAliveMs,
          keepaliveCountMax: 3,
          hostVerifier: (key: Buffer) => {
            try {
              accept(key);
              return true;
            } catch (error) {
              refused = error;
              return false;
            }
          },
        });
      });
    } catch (error) {
      client.destroy();
      signal.throwIfAborted();
      throw refused ?? inWords(error, place, login.userName);
    }
    // A connection that breaks later ends the command that runs, which tells of it.
    client.on('error', () => {});
    return new SshSession(client, localAddressOf(client), signal);
  }

  /** Runs a command to its end. @throws DomainError RemoteFailure when the connection breaks; the signal's reason */
  run(command: string, input?: Input): Promise<Ended> {
    return this.#run(command, input ?? { parts: [] }, this.#signal);
  }

  /** Runs a command that tidies up, also when the work was given up. What goes wrong there has no more consequence. */
  async tidy(command: string): Promise<void> {
    await this.#run(command, { parts: [] }, AbortSignal.timeout(tidyMs)).catch(() => {});
  }

  async #run(command: string, input: Input, signal: AbortSignal): Promise<Ended> {
    signal.throwIfAborted();
    const channel = await this.#open(command);
    return new Promise((resolve, reject) => {
      const output = { out: '', err: '' };
      let code = -1;
      const abort = (): void => {
        channel.close();
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      channel.on('data', (chunk: Buffer) => (output.out = joined(output.out, chunk)));
      channel.stderr.on('data', (chunk: Buffer) => (output.err = joined(output.err, chunk)));
      channel.on('exit', (status: number | null) => (code = status ?? -1));
      channel.on('error', () => {}); // its close tells
      channel.on('close', () => {
        signal.removeEventListener('abort', abort);
        if (code === -1) reject(pushError('unreachable', 'The connection to the machine broke off.'));
        else resolve({ code, ...output });
      });
      send(channel, input).catch(reject);
    });
  }

  close(): void {
    this.#client.end();
  }

  #open(command: string): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      this.#client.exec(command, (error, channel) => {
        if (error)
          reject(pushError('unreachable', `The machine runs no commands over SSH: ${error.message}.`, error));
        else resolve(channel);
      });
    });
  }
}

async function send(channel: ClientChannel, { parts, onSent }: Input): Promise<void> {
  let sent = 0;
  let goOn: (() => void) | undefined;
  let isClosed = false;
  channel.on('drain', () => goOn?.());
  channel.on('close', () => {
    isClosed = true;
    goOn?.();
  });
  for (const part of parts) {
    const bytes = Buffer.from(part);
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes);
      const drained = new Promise<void>((resolve) => (goOn = resolve));
      if (!channel.write(chunk)) await drained;
      if (isClosed) return; // the command ended before it read all; its end says why
      sent += chunk.length;
      onSent?.(sent);
    }
  }
  channel.end();
}

function joined(before: string, chunk: Buffer): string {
  return (before + chunk.toString('utf8')).slice(-outputBytesAtMost);
}

/** ssh2 keeps its socket to itself in the types. */
function localAddressOf(client: Client): string {
  const { _sock: socket } = client as unknown as { _sock?: { localAddress?: string } };
  return (socket?.localAddress ?? '').replace(/^::ffff:/u, '');
}

function inWords(
  error: unknown,
  { address, port }: { address: string; port: number },
  userName: string,
): unknown {
  const { level, message } = error as Error & { level?: string };
  if (level === 'client-authentication')
    return pushError('wrongCredentials', `${address}:${port} does not let '${userName}' in.`, error);
  if (/privateKey/u.test(message))
    return pushError(
      'wrongCredentials',
      `The private key of the account can not be used: ${message}.`,
      error,
    );
  return pushError('unreachable', `The machine can not be reached at ${address}:${port}: ${message}.`, error);
}
