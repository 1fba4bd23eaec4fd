/** Where alerts of unusual use go: the log, the metrics, the audit log and the webhook. */
import type { AuditLog } from '../audit/entry.ts'
import type { Log } from '../lib/log.ts'
import type { Alert } from '../watch/observation.ts'
import type { Watch } from '../watch/watch.ts'
import type { ServerConfig } from './config.ts'
import type { Metrics } from './metrics.ts'

export interface AlertTargets {
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditLog | undefined
}

export class AlertDesk {
  readonly watch: Watch | undefined
  #targets: AlertTargets

  private constructor(watch: Watch | undefined, targets: AlertTargets) {
    this.watch = watch
    this.#targets = targets
  }

  static async open(_config: ServerConfig['watch'], _state: string, _secrets: readonly string[], targets: AlertTargets): Promise<AlertDesk> {
    return new AlertDesk(undefined, targets)
  }

  tell(alerts: readonly Alert[]): void {
    const { log, metrics, audit } = this.#targets
    for (const { keyId, rule, message, detail } of alerts) {
      log.warn({ key: keyId, rule, ...detail }, message)
      metrics.alerted(rule)
      audit?.append({ type: 'alert', key: keyId, rule, detail }).catch((e: unknown) => log.error({ cause: String(e) }, 'an alert is not in the audit log'))
    }
  }

  async close(): Promise<void> {}
}
