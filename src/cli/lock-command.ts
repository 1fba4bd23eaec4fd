/**
 * Locks a command that runs a model file in its own process, as the runner of a server is locked (runner/sandbox.ts,
 * docs/internals/sandbox.md): once it holds open all that it needs, and before it reads a byte of the model, it gives
 * up files, network, other processes and new code. It keeps its terminal and its open files.
 */
import { cpus } from 'node:os'
import { isatty } from 'node:tty'
import { machineMemory } from '../lib/machine-memory.ts'
import { lockProcess } from '../runner/sandbox.ts'

/**
 * What cannot be locked on this system stays open, without a word: docs/internals/sandbox.md says what is locked where.
 */
export function lockCommand(): void {
  warmUp()
  lockProcess({ memoryBytes: 0, command: true })
}

/** The first use of these opens files or asks what is refused later. */
function warmUp(): void {
  for (const stream of [process.stdout, process.stderr]) stream.isTTY satisfies boolean | undefined
  if (isatty(0)) process.stdin.isTTY satisfies boolean | undefined
  cpus()
  machineMemory()
  new Date(0).toLocaleString('en-US')
}
