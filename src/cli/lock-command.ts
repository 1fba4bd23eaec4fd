/**
 * Locks a command that runs a model file in its own process, like the runner of a server (runner/sandbox.ts,
 * docs/internals/sandbox.md). It first opens everything it needs; then, before it reads a byte of the model, it gives
 * up files, network, other processes and new code. It keeps its terminal and open files.
 */
import { cpus } from 'node:os'
import { isatty } from 'node:tty'
import { machineMemory } from '../lib/machine-memory.ts'
import { lockProcess } from '../runner/sandbox.ts'

/** Protection that this system lacks is skipped silently: docs/internals/sandbox.md lists it. */
export function lockCommand(): void {
  warmUp()
  lockProcess({ memoryBytes: 0, command: true })
}

/** The first use of these opens files or makes system calls that are refused later. */
function warmUp(): void {
  for (const stream of [process.stdout, process.stderr]) stream.isTTY satisfies boolean | undefined
  if (isatty(0)) process.stdin.isTTY satisfies boolean | undefined
  cpus()
  machineMemory()
  new Date(0).toLocaleString('en-US')
}
