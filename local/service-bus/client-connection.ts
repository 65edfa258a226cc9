import type { Duplex } from 'node:stream';
import type { AmqpError, Connection, EventContext, Receiver, Sender, Session } from 'rhea';
import { putToken } from './cbs.ts';
import { Claims } from './claims.ts';
import { Dispositions } from './dispositions.ts';
import { grantCredit, MAX_MESSAGE_BYTES, receiveMessages } from './incoming-link.ts';
import { StoreFailure } from './journal.ts';
import { manage } from './management.ts';
import { type Namespace, type Node, resolveNode } from './namespace.ts';
import { OutgoingLink, settleDelivery } from './outgoing-link.ts';
import type { Queue } from './queue.ts';
import { Refusal } from './refusal.ts';
import { answerRequest, type Reply } from './request.ts';
import { connectionInternals, linkInternals, type RheaDelivery, sessionInternals } from './rhea-internals.ts';
import type { Right, TokenVerifier } from './sas.ts';
import { takeRawTransfers } from './raw-transfers.ts';

/** What a connection is served with. */
export interface Service {
  namespace: Namespace;
  verifier: TokenVerifier;
  /** Takes one fixed sentence and ids; never secrets. */
  log: (sentence: string, ids: Record<string, unknown>) => void;
}

const CLOSE_GRACE_MS = 1000;

interface OpenLink {
  link: Sender | Receiver;
  node: Node;
  /** Undefined for `$cbs` and management, which check each request. */
  right: Right | undefined;
  outgoing: OutgoingLink | undefined;
}

/** One AMQP connection: its claims, its links, and what they are attached to. */
export class ClientConnection {
  readonly #connection: Connection;
  readonly #socket: Duplex;
  readonly #service: Service;
  readonly #claims = new Claims();
  readonly #links = new Map<Sender | Receiver, OpenLink>();
  readonly #oversized = new WeakSet<Receiver>();
  readonly #incoming = new WeakMap<Session, Dispositions>();
  #expiryTimer: NodeJS.Timeout | undefined;
  #corked = false;

  constructor(connection: Connection, socket: Duplex, service: Service) {
    this.#connection = connection;
    this.#socket = socket;
    this.#service = service;
    connection.on('session_open', ({ session }: EventContext) => session && this.#openSession(session));
    connection.on('receiver_open', ({ receiver }: EventContext) => receiver && this.#attach(receiver, true));
    connection.on('sender_open', ({ sender }: EventContext) => sender && this.#attach(sender, false));
    connection.on('message', (context: EventContext) => this.#message(context));
    connection.on(
      'sender_flow',
      ({ sender }: EventContext) => sender && this.#outgoing(sender)?.requestPump(),
    );
    for (const event of ['sender_close', 'receiver_close']) {
      connection.on(event, ({ sender, receiver }: EventContext) => this.#detached(sender ?? receiver));
    }
    connection.on('session_close', ({ session }: EventContext) => this.#forgetLinks(session));
    for (const event of ['disconnected', 'connection_close']) connection.on(event, () => this.#gone());
    for (const event of ['sender_error', 'receiver_error', 'session_error', 'connection_error']) {
      connection.on(event, () => undefined);
    }
    for (const event of ['error', 'protocol_error'])
      connection.on(event, (error: unknown) => this.#failed(error));
    connectionInternals(connection).accept(socket);
    // A client's small writes wait for the acknowledgement of the one before (Nagle); an empty frame carries it.
    socket.on('data', () => connection.is_open() && connectionInternals(connection)._write_frame());
  }

  /** Detaches what is attached to a queue that was deleted. */
  queueDeleted(queue: Queue): void {
    for (const open of this.#links.values()) {
      if (open.node.kind !== 'cbs' && open.node.queue === queue) {
        this.#detach(open, {
          condition: 'amqp:resource-deleted',
          description: `The messaging entity '${queue.name}' could not be found; it was deleted.`,
        });
      }
    }
  }

  /** Says goodbye; a client that does not answer is cut off. */
  close(): void {
    this.#gone();
    this.#connection.close({ condition: 'amqp:connection:forced', description: 'The broker is stopping.' });
    setTimeout(() => this.#socket.destroy(), CLOSE_GRACE_MS).unref();
  }

  #openSession(session: Session): void {
    takeRawTransfers(session, MAX_MESSAGE_BYTES, this.#oversized);
    this.#incoming.set(session, new Dispositions(session, true));
    const internals = sessionInternals(session);
    const outgoing = new Dispositions(session, false);
    const takeIncoming = internals.on_disposition.bind(session);
    internals.on_disposition = (frame) => {
      const { role, first, last, state } = frame.performative;
      if (role !== true) {
        takeIncoming(frame);
        return;
      }
      const end = Math.min(last ?? first, internals.outgoing.next_delivery_id - 1);
      for (let id = Math.max(first, end - 4096); id <= end; id++) {
        const delivery: RheaDelivery | undefined = internals.outgoing.deliveries.by_id(id);
        if (delivery !== undefined && !delivery.remote_settled) settleDelivery(delivery, state, outgoing);
      }
    };
    const process = internals._process.bind(session);
    internals._process = () => {
      process();
      for (const { outgoing: link } of this.#links.values()) {
        if (link?.session === session) link.sessionProcessed();
      }
    };
  }

  #attach(link: Sender | Receiver, isReceiver: boolean): void {
    const terminus = isReceiver ? link.target : link.source;
    const address = terminus?.address ?? '';
    try {
      const node = resolveNode(this.#service.namespace, address);
      const right = this.#authorize(node, isReceiver, address);
      refuseUnsupported(link, isReceiver, node);
      this.#accept(link, isReceiver);
      const open: OpenLink = { link, node, right, outgoing: undefined };
      this.#links.set(link, open);
      if (isReceiver) grantCredit(link as Receiver);
      else if (node.kind === 'queue') open.outgoing = this.#openOutgoing(link as Sender, node);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#service.log('A link was refused.', { address, reason: error.message });
      // A refused attach is one without termini, followed by the detach that says why.
      link.close(error.toAmqp());
    }
  }

  /** @throws Refusal when the connection's claims do not give the right that the link needs. */
  #authorize(node: Node, isReceiver: boolean, address: string): Right | undefined {
    if (node.kind === 'cbs') return undefined;
    const nowMs = Date.now();
    const needed: Right[] = node.kind === 'queue' ? [isReceiver ? 'Send' : 'Listen'] : ['Send', 'Listen'];
    if (needed.some((right) => this.#claims.allows(right, node.path, nowMs))) {
      return node.kind === 'queue' ? needed[0] : undefined;
    }
    throw new Refusal(
      'amqp:unauthorized-access',
      `Unauthorized access. '${needed.join("' or '")}' claim(s) are required to perform this operation. Resource: '${address}'.`,
    );
  }

  #accept(link: Sender | Receiver, isReceiver: boolean): void {
    const { local, remote } = linkInternals(link);
    local.attach.snd_settle_mode = remote.attach.snd_settle_mode ?? 2;
    local.attach.rcv_settle_mode = remote.attach.rcv_settle_mode ?? 0;
    if (isReceiver) local.attach.max_message_size = MAX_MESSAGE_BYTES;
    link.set_source({ address: link.source?.address ?? '' });
    link.set_target({ address: link.target?.address ?? '' });
  }

  #openOutgoing(link: Sender, node: Node & { kind: 'queue' }): OutgoingLink {
    const { store } = this.#service.namespace;
    const lane = node.dead ? node.queue.deadLetter : node.queue.main;
    return new OutgoingLink(link, { store, queue: node.queue, lane }, () => this.#cork());
  }

  /** Gathers this turn's frames into one write. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #message(context: EventContext): void {
    const { receiver, delivery } = context;
    if (receiver === undefined || delivery === undefined) return;
    const open = this.#links.get(receiver);
    const dispositions = this.#incoming.get(receiver.session);
    if (open === undefined || dispositions === undefined) return;
    const { node } = open;
    if (node.kind === 'queue') {
      const isOversized = this.#oversized.delete(receiver);
      receiveMessages(node.queue, context, isOversized, dispositions);
      return;
    }
    dispositions.accept(delivery as unknown as RheaDelivery);
    grantCredit(receiver);
    const { store } = this.#service.namespace;
    answerRequest(context, {
      handle: (request) => this.#answer(node, request),
      findReplyLink: (replyTo) => this.#findReplyLink(node, replyTo),
      afterCommit: (act) => store.journal.afterCommit(act),
    });
  }

  #answer(node: Node, request: Parameters<typeof manage>[1]): Reply {
    if (node.kind === 'management') {
      return manage(node, request, (right) => this.#claims.allows(right, node.path, Date.now()));
    }
    const reply = putToken(this.#service, this.#claims, request);
    this.#armExpiry();
    return reply;
  }

  #findReplyLink(node: Node, replyTo: string): Sender | undefined {
    for (const { link, node: linkNode } of this.#links.values()) {
      if (!link.is_sender() || linkNode.kind !== node.kind) continue;
      if (link.name === replyTo || link.target?.address === replyTo) return link as Sender;
    }
    return undefined;
  }

  #outgoing(link: Sender): OutgoingLink | undefined {
    return this.#links.get(link)?.outgoing;
  }

  /** Looks again when the next claim expires, and detaches the links that have lost their right by then. */
  #armExpiry(): void {
    clearTimeout(this.#expiryTimer);
    const nextMs = this.#claims.nextExpiryMs(Date.now());
    if (nextMs === undefined) return;
    const waitMs = Math.min(Math.max(nextMs - Date.now(), 0) + 1, 2 ** 31 - 1);
    this.#expiryTimer = setTimeout(() => this.#expire(), waitMs).unref();
  }

  #expire(): void {
    const nowMs = Date.now();
    for (const open of this.#links.values()) {
      const { node, right } = open;
      if (node.kind === 'cbs' || right === undefined || this.#claims.allows(right, node.path, nowMs))
        continue;
      this.#service.log('A link was detached because its token expired.', { path: node.path });
      this.#detach(open, {
        condition: 'amqp:unauthorized-access',
        description: `ExpiredToken: the token for '${node.path}' is expired and was not renewed.`,
      });
    }
    this.#armExpiry();
  }

  #detach(open: OpenLink, error: AmqpError): void {
    this.#detached(open.link);
    open.link.close(error);
  }

  #detached(link: Sender | Receiver | undefined): void {
    if (link === undefined) return;
    this.#links.get(link)?.outgoing?.close();
    this.#links.delete(link);
  }

  #forgetLinks(session: Session | undefined): void {
    for (const { link } of this.#links.values()) if (link.session === session) this.#detached(link);
  }

  #gone(): void {
    clearTimeout(this.#expiryTimer);
    for (const { link } of this.#links.values()) this.#detached(link);
  }

  #failed(error: unknown): void {
    // rhea catches what handlers throw; a broken store has to stop the broker all the same.
    if (error instanceof StoreFailure) {
      setImmediate(() => {
        throw error;
      });
      return;
    }
    const reason = error instanceof Error ? error.message : String(error);
    this.#service.log('A connection was closed because of a protocol error.', { reason });
  }
}

/** @throws Refusal for links of kinds that this broker does not have. */
function refuseUnsupported(link: Sender | Receiver, isReceiver: boolean, node: Node): void {
  const filter = isReceiver ? undefined : link.source?.filter;
  if (filter !== undefined && filter !== null && 'com.microsoft:session-filter' in filter) {
    throw new Refusal('amqp:not-implemented', 'not supported by the local Service Bus: sessions');
  }
  if (isReceiver && node.kind === 'queue' && node.dead) {
    throw new Refusal('amqp:not-allowed', 'A dead-letter queue takes no messages from clients.');
  }
}
