/**
 * All checks of `verit doctor`, in the order in which they are shown. It only looks: nothing is made, changed or
 * repaired.
 */
import { existsSync } from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { protectProcess } from '../runner/protect.ts'
import { loadConfig } from '../server/config-file.ts'
import { defaultConfig } from '../server/config.ts'
import type { ServerConfig } from '../server/config.ts'
import { checkAdvisories } from './advisories.ts'
import { checkContact } from './contact.ts'
import { problem } from './finding.ts'
import type { Finding } from './finding.ts'
import { checkHost } from './host.ts'
import { checkKeys } from './keys-in-use.ts'
import { checkListening } from './listening.ts'
import { checkLog, checkUnaudited } from './log-kept.ts'
import { checkPackage } from './package-files.ts'
import { checkGateway, checkPlatform } from './platform.ts'
import { checkRateState, checkStore, checkWebhookSecret } from './services.ts'
import { checkModel } from './served-model.ts'
import type { InspectModel } from './served-model.ts'
import type { ModelToServe } from '../server/trust-check.ts'
import { checkSandbox, serverMemory } from './sandbox.ts'
import { checkStateFiles } from './state-files.ts'

export interface Examination {
  readonly state: string
  /** Path of a TOML file; undefined: the defaults. */
  readonly config?: string | undefined
  /** Instruction sets of the kernels that run here. */
  readonly kernels: readonly string[]
  /** The model that the server would serve. */
  readonly model: ModelToServe
  /** Default: only check whether the model is trusted. */
  readonly inspect?: InspectModel
  readonly env: NodeJS.ProcessEnv
  /** ms since 1970. */
  readonly now: number
}

/** @throws VeritError VERIT_FILE_NOT_FOUND if the configuration does not exist: that is wrong usage, not a finding */
export async function examine({ state, config, kernels, model, inspect, env, now }: Examination): Promise<Finding[]> {
  const umask = process.umask()
  // As in a gateway, for this process only.
  const protection = protectProcess('gateway')
  const host = process.platform === 'linux' ? checkHost(release()) : []
  const findings = [
    ...checkPlatform({ node: process.versions.node, kernels, uid: process.geteuid?.(), umask, env }),
    checkGateway(protection),
    // A process that is not dumpable leaves no core, whatever the host does with others.
    ...host.filter(f => f.check !== 'host.core' || !protection.notDumpable)
  ]
  const settings = readConfig(config, findings)
  const { inference } = settings ?? defaultConfig()
  findings.push(await checkSandbox(inference.requireSandbox, serverMemory(inference, model.path)))
  findings.push(...checkWebhookSecret(env))
  if (settings !== undefined)
    findings.push(...(await checkModel(model, settings.trust, state, inspect)), ...checkListening(settings, env, now))
  const files = checkStateFiles(state)
  findings.push(...files)
  const usable = existsSync(state) && !files.some(f => f.level === 'problem' && f.check === 'state.private')
  const store = await checkStore(state, usable, env)
  findings.push(
    ...store.findings,
    ...(store.keys === undefined ? [] : checkKeys(store.keys, now)),
    await checkRateState(env)
  )
  const { remembered } = store
  if (usable && settings?.audit.enabled !== false) findings.push(...checkLog(join(state, 'audit'), now, remembered))
  if (remembered !== undefined) findings.push(...checkUnaudited(remembered))
  return [...findings, ...checkAdvisories(now), checkContact(), ...(await checkPackage())]
}

function readConfig(file: string | undefined, findings: Finding[]): ServerConfig | undefined {
  try {
    return loadConfig({ file })
  } catch (e) {
    if (!VeritError.is(e) || (VeritError.is(e, 'VERIT_FILE_NOT_FOUND') && e.fields.path === file)) throw e
    findings.push(problem('config', e.what, e.next))
    return undefined
  }
}
