/** Events of the runner go to the log, the metrics and, for death and restart, the audit log. */
import type { RunnerEvent } from '../runner/model-runner.ts'
import { printable } from '../lib/printable.ts'
import { describeSandbox, notLocked } from '../runner/sandbox-words.ts'
import type { GatewayContext } from './context.ts'

export function noteRunner({ log, metrics, audit }: GatewayContext, event: RunnerEvent): void {
  if (event.type === 'ready') noteReady(log, event)
  else if (event.type === 'died') {
    log.error({ how: event.how, restartInMs: event.restartInMs }, 'the runner died')
    metrics.runnerDied()
    audit
      ?.append({ type: 'server', event: 'runner-died', detail: { how: event.how } })
      .catch((e: unknown) => log.error({ cause: String(e) }, 'not recorded'))
  } else if (event.type === 'log') log.warn({ line: event.line }, 'the runner wrote')
  else {
    const reason = event.error instanceof Error ? event.error.message : String(event.error)
    log.error({ reason, restartInMs: event.restartInMs }, 'the runner could not be started')
  }
}

function noteReady(log: GatewayContext['log'], { pid, info }: Extract<RunnerEvent, { type: 'ready' }>): void {
  const level = notLocked(info.sandbox).length === 0 ? 'info' : 'warn'
  log[level]({ pid, sandbox: describeSandbox(info.sandbox) }, 'the runner is ready')
  for (const warning of info.conversation?.warnings ?? [])
    log.warn({ warning: printable(warning, 512) }, 'conversations of this model')
}
