/** A second program that keeps one core busy, for `verit bench --under-load`: a process of our own that counts, and ends when it is told to or when we are gone. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { VeritError } from '../lib/errors.ts'

const PROGRAM = `
const parent = process.ppid
process.stdout.write('.', () => {
  let n = 0
  while (process.ppid === parent) for (let i = 0; i < 1e7; i++) n = (n * 1664525 + 1013904223) | 0
})`

/** Resolves when the process computes; disposing of it waits for its end. */
export async function busyProcess(): Promise<AsyncDisposable> {
  const child = spawn(process.execPath, ['-e', PROGRAM], { stdio: ['ignore', 'pipe', 'ignore'], env: {} })
  const ended = once(child, 'exit')
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  const ready = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
  if (!ready) throw new VeritError('VERIT_INTERNAL', { problem: 'the busy process ended before it had begun' })
  return {
    async [Symbol.asyncDispose]() {
      process.off('exit', end)
      end()
      await ended
    },
  }
}
