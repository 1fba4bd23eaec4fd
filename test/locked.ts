/** A command that locks itself, looked at from outside while it runs a model. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

/** System call filters that a process has. */
const filtersOf = (status: string): number => Number(/^Seccomp_filters:\s+(\d+)$/m.exec(status)?.[1] ?? 0)

/** Resolves once the process is locked as it has to be. @param stdout descriptor for its output */
export async function locked(args: readonly string[], stdout: number | 'ignore'): Promise<ChildProcess> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['pipe', stdout, 'inherit'] })
  const read = (file: string): string => readFileSync(`/proc/${child.pid}/${file}`, 'latin1')
  // one filter comes with its second start, the other with the lock
  while (filtersOf(read('status')) < filtersOf(readFileSync('/proc/self/status', 'latin1')) + 2) {
    assert.equal(child.exitCode, null, 'it ended before it was locked')
    await sleep(2)
  }
  const status = read('status')
  const folder = `/proc/${child.pid}/fd/`
  const open = process.getuid!() === 0 ? readdirSync(folder).map(fd => readlinkSync(folder + fd)) : []
  assert.match(status, /^NoNewPrivs:\s+1$/m)
  assert.match(status, /^CapPrm:\s+0+$/m)
  assert.match(read('cmdline'), /--disable-sigusr1/)
  assert.deepEqual(
    open.filter(target => target.includes('io_uring')),
    []
  )
  return child
}
