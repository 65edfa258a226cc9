import { z } from 'zod';

const Rule = z.object({
  name: z.string().regex(/^[^;]+$/, 'a name without semicolons'),
  key: z.string().regex(/^[^;]+$/, 'a key without semicolons'),
  rights: z.array(z.enum(['Manage', 'Send', 'Listen'])).min(1),
});

const QueueToEnsure = z.object({
  name: z.string().min(1),
  /** Settings under the administration API's names, as text: `{ MaxDeliveryCount: '10' }`. */
  settings: z.record(z.string(), z.string()).default({}),
});

/** How the local Service Bus is started. */
export const ServiceBusOptions = z.object({
  /** The folder of its store; made if it is not there. */
  dataFolder: z.string().min(1),
  /** The port of AMQP, in TCP and over WebSocket; 0 takes a free one. */
  port: z.int().min(0).max(65_535).default(0),
  /** The administration API's https port; 0 takes a free one. */
  adminPort: z.int().min(0).max(65_535).default(0),
  rules: z.array(Rule).min(1),
  /** Queues that are made at start unless they are there. */
  queues: z.array(QueueToEnsure).default([]),
  /** Names beside localhost and 127.0.0.1 by which tokens may call this namespace. */
  hostNames: z.array(z.string()).default([]),
  /** PEM texts for the administration API and for WebSocket; without them neither is served. */
  tls: z.object({ key: z.string().min(1), cert: z.string().min(1) }).optional(),
});

export type ServiceBusOptions = z.input<typeof ServiceBusOptions>;
