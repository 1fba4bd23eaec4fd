/** The lock of the runner at length. npm test makes one or two deadly calls of each kind (test/sandbox.test.ts). */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ModelRunner } from '../../src/runner/model-runner.ts'
import { RunnerProcess } from '../../src/runner/runner-process.ts'
import { notLocked } from '../../src/runner/sandbox-words.ts'
import { DEADLY, expectDeaths } from '../deadly-calls.ts'
import { compileHostile } from '../hostile-addon.ts'
import { tinyModel } from '../served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-deadly-'))
const addon = join(dir, 'hostile.node')
const model = await tinyModel(dir)
const fd = openSync(model, 'r')
after(() => {
  closeSync(fd)
  rmSync(dir, { recursive: true })
})
const honest = await ModelRunner.start(model)
const locks = notLocked(honest.info.sandbox).length === 0
await honest.close()
const skip = locks && compileHostile(addon) ? false : 'needs a system that can lock, and a C compiler'

test('each system call that only an attacker makes ends the process at once', { skip }, () =>
  expectDeaths(DEADLY, attempt => {
    const script = fileURLToPath(new URL('../hostile-runner.ts', import.meta.url))
    const name = JSON.stringify({ addon, port: 9, path: join(dir, 'made'), attempts: [attempt] })
    const runner = new RunnerProcess({ fd, name, script, memoryBytes: 2 ** 31 })
    runner.load().catch(() => undefined)
    return runner
  })
)

test('each of 40 runners is locked, however the threads of four that start at once come and go', { skip }, async () => {
  for (let i = 0; i < 10; i++) {
    const runners = await Promise.all(Array.from({ length: 4 }, () => ModelRunner.start(model)))
    const missing = runners.flatMap(({ info }) => notLocked(info.sandbox))
    await Promise.all(runners.map(runner => runner.close()))
    assert.deepEqual(missing, [])
  }
})
