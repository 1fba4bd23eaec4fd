/**
 * Checks how completely the runner can be locked on this machine (docs/internals/sandbox.md): starts a runner on the
 * model that comes with Verit, as a server does, and reports which protections are in effect.
 */
import { existsSync, statSync } from 'node:fs'
import { defaultModelPath } from '../lib/default-model.ts'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { memoryCeiling } from '../runner/memory-ceiling.ts'
import type { Sandbox } from '../runner/messages.ts'
import { RunnerProcess } from '../runner/runner-process.ts'
import { describeSandbox, fixFor, notLocked } from '../runner/sandbox-words.ts'
import type { ServerConfig } from '../server/config.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const PATIENCE_MS = 20_000
const MIB = 2 ** 20

/**
 * @param required whether a server that cannot lock it does not start
 * @param memoryBytes the ceiling that a server's runner would get; default: that of the model that comes with
 * Verit
 */
export async function checkSandbox(required: boolean, memoryBytes?: number): Promise<Finding> {
  const path = defaultModelPath()
  if (!existsSync(path))
    return note('sandbox', 'The sandbox of the runner was not tested: the model that comes with Verit is missing')
  try {
    return judge(await reached(path, memoryBytes ?? memoryCeiling(statSync(path).size, {})), required)
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return problem('sandbox', `The runner does not start: ${e.what}`, e.next)
  }
}

/** Memory ceiling of the runner in bytes (memory-ceiling.ts). Undefined: no such model. */
export function serverMemory(inference: ServerConfig['inference'], model: string): number | undefined {
  const { memoryMib, cacheMib, context } = inference
  const given = (n: number, unit: number): number | undefined => (n === 0 ? undefined : n * unit)
  const file = statSync(model, { throwIfNoEntry: false })
  if (file === undefined) return undefined
  const asked = { cacheBytes: given(cacheMib, MIB), context: given(context, 1) }
  return given(memoryMib, MIB) ?? memoryCeiling(file.size, asked)
}

async function reached(path: string, memoryBytes: number): Promise<Sandbox> {
  const file = openRegular(path, 'the model that comes with Verit')
  try {
    const little = { threads: 1, context: 16, slots: 1, hangMs: PATIENCE_MS }
    const runner = new RunnerProcess({ fd: file.fd, name: path, ...little, memoryBytes })
    try {
      return (await runner.load()).sandbox
    } finally {
      await runner.close()
    }
  } finally {
    file.close()
  }
}

export function judge(sandbox: Sandbox, required: boolean): Finding {
  const says = `The runner is ${describeSandbox(sandbox)}`
  if (notLocked(sandbox).length === 0) return ok('sandbox', says)
  return (required ? problem : warning)('sandbox', says, fixFor(sandbox))
}
