import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeRandomModel } from '../src/bench/random-model.ts'
import type { ByteProgress } from '../src/index.ts'
import { VeritError, loadModel, openExecutor, openGguf, parseModelConfig } from '../src/index.ts'

test('the library loads a model, generates and names its errors', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-library-'))
  try {
    const path = join(folder, 'tiny.gguf')
    await writeRandomModel(
      path,
      openExecutor({ threads: 1 }),
      parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 32, vocab: 257 })
    )
    {
      using file = openGguf(path)
      assert.equal(file.metadata.string('general.architecture'), 'gpt2')
    }
    await using model = await loadModel(path, { threads: 1 })
    const events = await Array.fromAsync(
      model.generate({ prompt: 'Once', maxTokens: 3, seed: 7, ignoreEndOfText: true })
    )
    assert.deepEqual(
      events.map(e => e.type),
      ['start', 'token', 'token', 'token', 'end']
    )
    await assert.rejects(loadModel(join(folder, 'none.gguf')), (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('progress of loading goes where the caller wants it: nowhere, to a stream, or to a function', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-library-'))
  try {
    const path = join(folder, 'tiny.gguf')
    await writeRandomModel(
      path,
      openExecutor({ threads: 1 }),
      parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 32, vocab: 257 })
    )
    const seen: ByteProgress[] = []
    await (await loadModel(path, { threads: 1, progress: p => void seen.push(p) })).close()
    const { size } = statSync(path)
    const last = seen.filter(p => p.stage === 'hash').at(-1)
    assert.deepEqual(last, { stage: 'hash', done: size, total: size })
    assert.ok(seen.some(p => p.stage === 'load'))
    for (const { done, total } of seen) assert.ok(done > 0 && done <= total)
    const enough = new Error('enough')
    await assert.rejects(
      loadModel(path, {
        progress: () => {
          throw enough
        }
      }),
      enough
    )

    const program = (options: string): string =>
      spawnSync(
        process.execPath,
        [
          '-e',
          `
      const { loadModel } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)})
      const now = performance.now()
      performance.now = () => now + 60_000 * ++performance.calls
      performance.calls = 0
      await (await loadModel(${JSON.stringify(path)}, ${options})).close()`,
          '--input-type=module'
        ],
        { encoding: 'utf8' }
      ).stderr
    assert.match(program('{}'), /^hash .*load /s)
    assert.equal(program('{ progress: false }'), '')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
