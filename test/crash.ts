/**
 * Kills a training process again and again, with SIGKILL at random moments, resumes it each time, and compares with a
 * run left alone.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RecordFile } from '../src/train/record.ts'

const cli = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const verit = (args: string[]): string[] => [cli, ...args, '--threads', '1']

/**
 * @param kills processes to kill before the run may end
 * @param delay longest time a process lives, in ms
 * @param steps of the run; it must take longer than one life, or nothing is killed
 */
export async function crashAndResume(kills: number, delay: number, steps: number): Promise<{ killed: number }> {
  const root = mkdtempSync(join(tmpdir(), 'verit-crash-'))
  try {
    const text = join(root, 'text.txt')
    writeFileSync(text, Array.from({ length: 3000 }, (_, i) => `${(i * 7919) % 1000} and ${(i * i) % 97}\n`).join(''))
    const data = join(root, 'data')
    ok(
      spawnSync(process.execPath, [cli, 'prepare', text, '--out', data, '--tokenizer-kind', 'character'], {
        encoding: 'utf8'
      })
    )
    const options = (
      '--preset shakespeare-bitnet --layers 1 --hidden 16 --heads 2 --kv-heads 1 --ffn 32 --context 16 --batch 2 ' +
      `--steps ${steps} --eval-every 20 --eval-tokens 256 --save-every 7`
    ).split(' ')
    const start = (run: string): string[] => verit(['train', data, '--out', run, ...options])
    const whole = join(root, 'whole')
    ok(spawnSync(process.execPath, start(whole), { encoding: 'utf8' }))

    const run = join(root, 'killed')
    let killed = 0
    for (let i = 0; i < kills && !existsSync(join(run, 'record.json')); i++) {
      const child = spawn(process.execPath, commandFor(run, start), { stdio: 'ignore' })
      const ended = new Promise<NodeJS.Signals | null>(resolve => child.once('exit', (_, signal) => resolve(signal)))
      await Promise.race([sleep(300 + Math.random() * (delay - 300)), ended])
      child.kill('SIGKILL')
      if ((await ended) === 'SIGKILL') killed++
    }
    if (!existsSync(join(run, 'record.json')))
      ok(spawnSync(process.execPath, commandFor(run, start), { encoding: 'utf8' }))
    const [a, b] = [whole, run].map(
      folder => JSON.parse(readFileSync(join(folder, 'record.json'), 'utf8')) as RecordFile
    ) as [RecordFile, RecordFile]
    assert.deepEqual(b.record, a.record)
    assert.equal(b.sha256, a.sha256)
    assert.equal(b.model.sha256, a.model.sha256)
    return { killed }
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** A process killed before run.json was written left nothing to resume: the run begins again. */
function commandFor(run: string, start: (run: string) => string[]): string[] {
  const begun = existsSync(join(run, 'run.json'))
  return begun ? verit(['train', '--resume', run]) : start(run)
}

function ok(result: { status: number | null; stderr: string }): void {
  assert.equal(result.status, 0, result.stderr)
}
