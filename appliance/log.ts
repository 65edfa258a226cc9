/**
 * The appliance's log: one JSON object a line on standard error, which systemd and people can keep. One fixed sentence
 * and an object of ids; never a secret, never a payload.
 */
export const log = {
  info: (sentence: string, ids: object = {}): void => write('info', sentence, ids),
  warn: (sentence: string, ids: object = {}): void => write('warn', sentence, ids),
  error: (sentence: string, ids: object = {}): void => write('error', sentence, ids),
};

function write(level: string, sentence: string, ids: object): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, sentence, ...ids })}\n`);
}
