/** Destinations of alerts: log, metrics, audit log and webhook. Baselines survive a restart. */
import { join } from 'node:path'
import type { AuditLog } from '../audit/entry.ts'
import type { Log } from '../lib/log.ts'
import { loadBaselines, saveBaselines } from '../watch/baseline-file.ts'
import type { Alert } from '../watch/observation.ts'
import { Watch } from '../watch/watch.ts'
import { Webhook } from '../watch/webhook.ts'
import { webhookSigner } from '../watch/webhook-secret.ts'
import type { ServerConfig } from './config.ts'
import type { Metrics } from './metrics.ts'

const SAVE_MS = 600_000

export interface AlertTargets {
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditLog | undefined
}

export class AlertDesk {
  /** Undefined where the operator switched it off. */
  readonly watch: Watch | undefined
  #file: string
  #targets: AlertTargets
  #webhook: Webhook | undefined
  #saving: NodeJS.Timeout

  private constructor(watch: Watch | undefined, webhook: Webhook | undefined, file: string, targets: AlertTargets) {
    this.watch = watch
    this.#webhook = webhook
    this.#file = file
    this.#targets = targets
    this.#saving = setInterval(() => void this.#save(), SAVE_MS).unref()
  }

  /**
   * @param state folder @param secrets of the webhook @throws VeritError VERIT_CONFIG for secrets that are missing or
   * none
   */
  static async open(
    config: ServerConfig['watch'],
    state: string,
    secrets: readonly string[],
    targets: AlertTargets
  ): Promise<AlertDesk> {
    const { log, metrics } = targets
    const file = join(state, 'usual.json')
    const watch = config.enabled ? new Watch({ throttle: config.throttle }) : undefined
    if (watch !== undefined) loadBaselines(file, watch, log)
    const webhook =
      watch === undefined || config.webhookUrl === ''
        ? undefined
        : new Webhook({
            url: config.webhookUrl,
            signers: secrets.map(webhookSigner),
            log,
            onResult: result => metrics.webhook(result)
          })
    return new AlertDesk(watch, webhook, file, targets)
  }

  tell(alerts: readonly Alert[]): void {
    const { log, metrics, audit } = this.#targets
    for (const alert of alerts) {
      const { keyId, rule, message, detail } = alert
      log.warn({ key: keyId, rule, ...detail }, message)
      metrics.alerted(rule)
      audit
        ?.append({ type: 'alert', key: keyId, rule, detail })
        .catch((e: unknown) => log.error({ cause: String(e) }, 'an alert is not in the audit log'))
      this.#webhook?.send(alert)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#saving)
    this.#webhook?.close()
    await this.#save()
  }

  async #save(): Promise<void> {
    if (this.watch !== undefined) await saveBaselines(this.#file, this.watch, this.#targets.log)
  }
}
