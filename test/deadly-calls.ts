/** System calls that end a locked process (hostile-runner.ts makes them). */
import assert from 'node:assert/strict'
import type { RunnerProcess } from '../src/runner/runner-process.ts'

/** One of each kind: network, programs, other processes, executable memory, kernel interfaces. */
export const DEADLY_OF_EACH_KIND: readonly string[] = [
  'make a socket',
  'run a program',
  'trace the parent',
  'make its memory executable',
  'a ring',
  ...(process.arch === 'x64' ? ['x32 system calls'] : [])
]

export const DEADLY: readonly string[] = [
  ...DEADLY_OF_EACH_KIND,
  'fork',
  'signal everyone',
  'a user namespace',
  'connect',
  'bind',
  'connect to no socket',
  'clone without memory shared',
  'read the memory of the parent',
  'signal the parent',
  'signal a thread of the parent',
  'open the parent by a descriptor',
  'map executable memory',
  'make memory executable beyond the end of the code',
  'make memory executable before the code',
  'make memory executable with a length that wraps',
  'an anonymous file',
  'bpf',
  'userfaultfd',
  'keyrings',
  'another namespace',
  'mount',
  'performance counters'
]

/**
 * Makes each attempt in a process of its own, four at a time.
 * @param start starts a locked process that makes it
 */
export async function expectDeaths(
  attempts: readonly string[],
  start: (attempt: string) => RunnerProcess
): Promise<void> {
  const ends = async (attempt: string): Promise<[string, string]> => {
    const runner = start(attempt)
    const ready = runner.ready.then(
      info => `it went on with ${info.name}`,
      () => ''
    )
    return [attempt, (await ready) || /signal \w+$/.exec(await runner.exited)![0]]
  }
  const results: [string, string][] = []
  for (let i = 0; i < attempts.length; i += 4) results.push(...(await Promise.all(attempts.slice(i, i + 4).map(ends))))
  assert.deepEqual(Object.fromEntries(results), Object.fromEntries(attempts.map(attempt => [attempt, 'signal SIGSYS'])))
}
