import { z } from 'zod';

import type { SeamLevel } from './core-api.ts';

const severities = { trace: 0, debug: 1, information: 2, warning: 3, error: 4, critical: 5, none: 6 };

/** How grave a log line is; the names are those of host.json, in lower case. */
export type LogLevel = SeamLevel;

/** A category of host.json (`default`, `Function`, `Function.name`, `Host`) and the least level it logs. */
export type LogLevels = Record<string, LogLevel>;

/** A level as host.json writes it. */
export const LogLevelName = z
  .enum(['Trace', 'Debug', 'Information', 'Warning', 'Error', 'Critical', 'None'])
  .transform((name): LogLevel => name.toLowerCase() as LogLevel);

/** The host's log. A category is a dotted path such as `Host.Timers` or `Function.discoveryRefresh`. */
export type Logger = (level: LogLevel, category: string, message: string) => void;

/** Makes a log of plain lines, or of one JSON object a line. The longest category in `levels` decides. */
export function createLogger(options: {
  levels: LogLevels;
  json: boolean;
  write: (line: string) => void;
}): Logger {
  const thresholds = new Map<string, number>();
  const threshold = (category: string): number => {
    const known = thresholds.get(category);
    if (known !== undefined) return known;
    const found = severities[levelOf(options.levels, category)];
    thresholds.set(category, found);
    return found;
  };
  return (level, category, message) => {
    if (level === 'none' || severities[level] < threshold(category)) return;
    const time = new Date().toISOString();
    options.write(
      options.json
        ? `${JSON.stringify({ time, level, category, message })}\n`
        : `${time} ${level} [${category}] ${message}\n`,
    );
  };
}

function levelOf(levels: LogLevels, category: string): LogLevel {
  const parts = category.split('.');
  for (let length = parts.length; length > 0; length -= 1) {
    const level = levels[parts.slice(0, length).join('.')];
    if (level !== undefined) return level;
  }
  return levels['default'] ?? 'information';
}

/** An error as a log line tells it: its stack, which begins with its message, and its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by ${describeError(error.cause)}`;
}
