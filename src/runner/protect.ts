/**
 * Puts the table of protections (lib/process-protections.ts) into effect in this process, gateway or runner. The
 * runner also locks itself (sandbox.ts).
 */
import { constants } from 'node:os'
import { nativeLibrary } from '../exec/native.ts'
import { exposingOption, ignoredNatively, realTimeSignals, signalsThat } from '../lib/process-protections.ts'
import type { Exposure, Role } from '../lib/process-protections.ts'

export interface Protection {
  /** What still exposes this process. */
  readonly exposure: Exposure | undefined
  /** A crash leaves no core file, of this process or of its children. */
  readonly noCore: boolean
  /** Other processes of the same user cannot attach to this one or read its memory (Linux). */
  readonly notDumpable: boolean
}

/**
 * Call first, before any secret is read. Signals that the role does not ignore are left to the caller.
 * @param onIgnored called for each ignored signal
 */
export function protectProcess(role: Role, onIgnored: (signal: NodeJS.Signals) => void = () => undefined): Protection {
  const ignored = signalsThat(role, 'ignore')
  for (const signal of ignored) if (!ignoredNatively.includes(signal)) process.on(signal, () => onIgnored(signal))
  const numbers = ignored.filter(signal => ignoredNatively.includes(signal)).map(signal => constants.signals[signal])
  const reached = nativeLibrary()?.protect(Int32Array.from([...numbers, ...realTimeSignals]))
  return { exposure: exposureOf(), noCore: reached?.noCore === 1, notDumpable: reached?.notDumpable === 1 }
}

/** An option of Node, or an open debugger, that exposes this process. */
export function exposureOf(): Exposure | undefined {
  const option = exposingOption(process.execArgv, process.env['NODE_OPTIONS'])
  const open = process.features.inspector ? process.getBuiltinModule('node:inspector').url() : undefined
  if (option !== undefined || open === undefined) return option
  const danger = 'lets whoever reaches its port run code in this process'
  return { option: `a debugger on ${URL.parse(open)?.host}`, danger }
}

/** Missing protections in words; empty if all hold. */
export function notProtected({ exposure, noCore, notDumpable }: Protection): string[] {
  const missing: string[] = []
  if (exposure !== undefined) missing.push(`${exposure.option} ${exposure.danger}`)
  if (!noCore) missing.push('a crash may write its memory to a core file')
  if (!notDumpable) missing.push('other processes of the same user can read its memory')
  return missing
}

/** One line for a banner or a log. */
export function describeProtection(protection: Protection): string {
  const missing = notProtected(protection)
  if (missing.length > 0) return `not protected: ${missing.join('; ')}`
  return 'protected: no debugger, no core files, memory closed to other processes'
}
