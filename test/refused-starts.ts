/**
 * Starts of `verit serve` that are refused, one after another in one process: each process costs two seconds of CPU.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const PROGRAM = new URL('../src/cli/program.ts', import.meta.url).href
const MINUTE_MS = 60_000

export interface Refused {
  readonly status: number
  readonly stderr: string
}

/**
 * Runs `verit serve --port 0` with each of these arguments. The process must end by itself.
 * @throws AssertionError where a start is not refused
 */
export function refusedStarts(lists: readonly (readonly string[])[]): Refused[] {
  const program = `
    const { runProgram } = await import(${JSON.stringify(PROGRAM)})
    process.exit = status => { throw { status } }
    for (const args of ${JSON.stringify(lists)}) {
      process.exitCode = 0
      const exit = await runProgram(['serve', '--port', '0', ...args]).catch(e => e)
      process.stderr.write('\f' + (exit?.status ?? process.exitCode) + '\f')
    }`.replaceAll('\f', '\\f')
  const args = ['--input-type=module', '--eval', program]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: MINUTE_MS })
  const parts = stderr.split('\f')
  assert.ok(status !== null && parts.length === 2 * lists.length + 1, stderr)
  return lists.map((_, i) => {
    const refused = { stderr: parts[2 * i]!, status: Number(parts[2 * i + 1]) }
    assert.ok(refused.status === 1 || refused.status === 2, refused.stderr)
    return refused
  })
}
