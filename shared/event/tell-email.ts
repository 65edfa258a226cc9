import { createTransport } from 'nodemailer';
import { childIdOf, type VaultRef } from '../arm/resource-id.ts';
import { eventName, type VaultEvent } from './event.ts';

/** How e-mails are sent, and to whom. */
export interface EmailRoute {
  /** `smtp://` or `smtps://`, with user and password where the server wants them. */
  smtpUrl: string;
  from: string;
  recipients: readonly string[];
}

/** Sends an e-mail about an event. With nobody to send it to, nothing happens. @throws what SMTP says. */
export async function tellByEmail(route: EmailRoute, vault: VaultRef, event: VaultEvent): Promise<void> {
  if (route.recipients.length === 0) return;
  const transport = createTransport({
    url: route.smtpUrl,
    connectionTimeout: 15_000,
    greetingTimeout: 15_000,
    socketTimeout: 30_000,
  });
  try {
    await transport.sendMail({
      from: route.from,
      to: [...route.recipients],
      subject: `[${event.severity}] ${event.affected.name}: ${event.description}`.replaceAll(
        /[\r\n]+/gu,
        ' ',
      ),
      text: textOf(vault, event),
      messageId: `<${event.eventId}@secondsite>`,
    });
  } finally {
    transport.close();
  }
}

function textOf(vault: VaultRef, event: VaultEvent): string {
  const errors = event.healthErrors.map(
    ({ errorCode, errorMessage, possibleCauses, recommendedAction }) =>
      `${errorCode}: ${errorMessage}\nPossible causes: ${possibleCauses}\nWhat to do: ${recommendedAction}\n`,
  );
  return [
    event.description,
    '',
    `Vault: ${vault.vaultName}`,
    `Concerns: ${event.affected.name}`,
    `Configuration server: ${event.fabric?.serverName ?? '-'}`,
    `Time: ${new Date(event.atMs).toISOString()}`,
    '',
    ...errors,
    `Event: ${childIdOf(vault, [['replicationEvents', eventName(event)]])}`,
    '',
  ].join('\n');
}
