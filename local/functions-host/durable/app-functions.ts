import type { LoadedFunction } from '../bindings.ts';
import type { RpcTypedData } from '../core-api.ts';
import type { Invoke } from '../invoke.ts';
import { parseAnswer, parseFailure, type Answer } from './answer.ts';
import type { AppFunctions } from './engine.ts';
import type { HistoryEvent } from './history.ts';
import type { LiveInstance } from './live-instance.ts';

/** The app's orchestrators and activities, called through the seam. Their names ignore case. */
export function createAppFunctions(functions: LoadedFunction[], invoke: Invoke): AppFunctions {
  const byName = (type: string): Map<string, LoadedFunction> =>
    new Map(
      functions
        .filter(({ triggerType }) => triggerType === type)
        .map((target) => [target.name.toLowerCase(), target]),
    );
  const orchestrators = byName('orchestrationTrigger');
  const activities = byName('activityTrigger');
  return {
    hasOrchestrator: (name) => orchestrators.has(name.toLowerCase()),
    hasActivity: (name) => activities.has(name.toLowerCase()),
    async runOrchestrator(live, newEvents) {
      const target = orchestrators.get(live.state.name.toLowerCase());
      if (target === undefined) throw new Error(`there is no orchestrator function '${live.state.name}'`);
      const trigger = { string: triggerText(live, newEvents) };
      let answer: Answer;
      try {
        answer = parseAnswer((await invoke(target, { trigger })).returnValue);
      } catch (error) {
        answer = parseFailure(error);
      }
      return answer;
    },
    async runActivity(name, input) {
      const target = activities.get(name.toLowerCase());
      if (target === undefined) throw new Error(`there is no activity function '${name}'`);
      const { returnValue } = await invoke(target, { trigger: { json: input ?? 'null' } });
      return toJsonText(returnValue);
    },
  };
}

/** The trigger's value, as JSON. The limits of timers are so wide that the library never splits one. */
function triggerText(live: LiveInstance, newEvents: HistoryEvent[]): string {
  const { state } = live;
  const history = [...live.historyTexts, ...newEvents.map((event) => JSON.stringify(event))].join(',');
  const rest = JSON.stringify({
    instanceId: state.instanceId,
    isReplaying: live.history.length > 0,
    parentInstanceId: state.parent?.instanceId ?? null,
    upperSchemaVersion: 1,
    upperSchemaVersionNew: 2,
    longRunningTimerIntervalDuration: '3650.00:00:00',
    maximumShortTimerDuration: '3650.00:00:00',
    defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
  });
  return `{"history":[${history}],"input":${state.input ?? 'null'},${rest.slice(1)}`;
}

function toJsonText(data: RpcTypedData | null | undefined): string | null {
  if (data === null || data === undefined) return null;
  if (data.json !== undefined) return data.json;
  if (data.string !== undefined) return JSON.stringify(data.string);
  if (data.bytes !== undefined) return JSON.stringify(Buffer.from(data.bytes).toString('base64'));
  return JSON.stringify(data.int ?? data.double ?? null);
}
