/**
 * A real `verit serve` for tests: its own process, a free port, a state folder of its own, and a small model of random
 * weights made on the spot.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import { parseModelConfig } from '../src/model/config.ts'

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

/** Writes DIR/tiny.gguf. @param context positions, which bound how long an answer can go on */
export async function tinyModel(dir: string, context = 512): Promise<string> {
  const path = join(dir, 'tiny.gguf')
  await writeRandomModel(
    path,
    referenceExecutor(),
    parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context, vocab: 257 }),
    { scale: 8 }
  )
  return path
}

export interface Served {
  process: ChildProcess
  url: string
  /** The key of the first start; '' on a later one. */
  key: string
  /** All that it has written to standard error. */
  stderr(): string
  /** Number of the model's process, the newest. */
  runnerPid(): number
  /** Waits until the log matches. */
  logged(pattern: RegExp): Promise<void>
  /** Sends SIGTERM and gives the exit status. */
  stop(): Promise<number | null>
}

const all: ChildProcess[] = []

/** Ends by force what a failed test has left running. */
export function killServers(): void {
  for (const child of all) child.kill('SIGKILL')
}

export const served = (model: string, state: string, ...args: string[]): Promise<Served> =>
  servedWith({}, model, state, ...args)

/** @param env added to the environment: where secrets come from */
export const servedWith = (
  env: Record<string, string>,
  model: string,
  state: string,
  ...args: string[]
): Promise<Served> => servedBy({ env }, model, state, ...args)

type How = Pick<SpawnOptions, 'env' | 'uid' | 'gid' | 'cwd'>

/** @param how another user or current folder; `env` is added to the environment */
export async function servedBy({ env, ...how }: How, model: string, state: string, ...args: string[]): Promise<Served> {
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', model, '--port', '0', '--state', state, '--allow-unsigned', ...args],
    {
      ...how,
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { ...process.env, ...env }
    }
  )
  all.push(child)
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  const gone = once(child, 'exit')
  const logged = async (pattern: RegExp): Promise<void> => {
    for (let i = 0; !pattern.test(text); i++) {
      if (i > 3000 || child.exitCode !== null) throw new Error(`the server has not written ${pattern}:\n${text}`)
      await sleep(10)
    }
  }
  await logged(/Try it:[^]*max_tokens/)
  return {
    process: child,
    logged,
    url: /at (https?:\/\/\S+)/.exec(text)![1]!,
    key: /^ {4}(verit_\w+)$/m.exec(text)?.[1] ?? '',
    stderr: () => text,
    runnerPid: () => Number([...text.matchAll(/"pid":(\d+)/g)].at(-1)![1]),
    stop: async () => {
      child.kill('SIGTERM')
      await gone
      return child.exitCode
    }
  }
}
