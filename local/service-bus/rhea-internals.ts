/**
 * The parts of rhea that its public types leave out and that a broker needs: raw transfers, dispositions of
 * its own making, and what waits unsent. All casts to them are here. Written against rhea 3.0.5.
 */
import type { Duplex } from 'node:stream';
import rhea, {
  type Connection,
  type Message,
  type Receiver,
  type Sender,
  type Session,
  type Typed,
} from 'rhea';

/** A delivery as rhea keeps it. */
export interface RheaDelivery {
  id: number;
  tag: Buffer;
  format: number | null;
  link: Receiver | Sender;
  settled: boolean;
  remote_settled: boolean;
}

/** A frame as it came from the peer. */
export interface RheaFrame {
  performative: {
    message_format?: number | null;
    more?: boolean;
    role?: boolean;
    first: number;
    last?: number | null;
    settled?: boolean;
    state?: Typed | null;
  };
  payload?: Buffer;
}

interface RheaSession {
  on_transfer(frame: RheaFrame): void;
  on_disposition(frame: RheaFrame): void;
  output(frame: unknown): void;
  _process(): void;
  _write_flow(): void;
  _get_link(frame: RheaFrame): Receiver;
  outgoing: {
    next_delivery_id: number;
    next_pending_delivery: number;
    next_transfer_id: number;
    deliveries: { available(): number; by_id(id: number): RheaDelivery | undefined };
    transfer_window(): number;
  };
}

interface RheaConnection {
  accept(socket: Duplex): Connection;
  _register(): void;
  _write_frame(): void;
}

interface RheaLink {
  local: {
    attach: { snd_settle_mode?: number; rcv_settle_mode?: number; max_message_size?: number };
  };
  remote: {
    attach: { snd_settle_mode?: number | null; rcv_settle_mode?: number | null };
  };
  credit: number;
  _draining?: boolean;
  session: Session;
}

export function sessionInternals(session: Session): Session & RheaSession {
  return session as unknown as Session & RheaSession;
}

export function connectionInternals(connection: Connection): Connection & RheaConnection {
  return connection as unknown as Connection & RheaConnection;
}

export function linkInternals<L extends Receiver | Sender>(link: L): L & RheaLink {
  return link as unknown as L & RheaLink;
}

/** Connection options that rhea reads but does not declare: credit and settlement are the broker's own affair. */
export function createBrokerConnection(maxFrameBytes: number, idleTimeoutMs: number): Connection {
  return rhea.create_connection({
    max_frame_size: maxFrameBytes,
    idle_time_out: idleTimeoutMs,
    reconnect: false,
    credit_window: 0,
    autoaccept: false,
    autosettle: false,
  } as unknown as Parameters<typeof rhea.create_connection>[0]);
}

export function decodeMessage(bytes: Buffer): Message {
  return rhea.message.decode(bytes) as unknown as Message;
}

/** An encoded value, for the places where rhea wants or gives values apart from messages. */
export function encodeValue(value: unknown): Buffer {
  const types = rhea.types as unknown as {
    Writer: new () => { write(typed: Typed): void; toBuffer(): Buffer };
  };
  const writer = new types.Writer();
  writer.write(rhea.types.wrap(value));
  return writer.toBuffer();
}
