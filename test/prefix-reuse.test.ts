/**
 * The runner as the gateway uses it: whose prompt it is changes nothing of an answer, nor does the size of the cache,
 * or how it computes.
 */
// long: it starts a runner for each way to compute
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { instructionSets, openExecutor } from '../src/exec/index.ts'
import { VeritError } from '../src/lib/errors.ts'
import { allowedProcessors, processorList } from '../src/lib/processor-list.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'
import { tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-reuse-'))
after(() => rmSync(dir, { recursive: true }))

test('the same answer for the first and the second prompt of a tenant, for another tenant, and for none', async () => {
  const path = await tinyModel(dir)
  chmodSync(path, 0o600)
  // 20 pages of 16 positions of one layer of two heads of 8
  const runner = await ModelRunner.start(path, { threads: 1, slots: 4, cacheBytes: 20 * 16 * 8 * 16 })
  try {
    assert.equal(runner.info.context, 320)
    const answer = async (tenant: string | undefined, tokens: number[]): Promise<number[]> => {
      const ids: number[] = []
      for await (const e of runner.generate({ tokens }, { maxTokens: 12, seed: 3, ignoreEndOfText: true }, undefined, {
        tenant
      }))
        if (e.type === 'token') ids.push(e.token)
      return ids
    }
    const prompt = Array.from({ length: 70 }, (_, i) => (i * 37) % 257)
    const first = await answer('owner a', prompt)
    assert.equal(first.length, 12)
    for (const tenant of ['owner a', 'owner b', undefined]) assert.deepEqual(await answer(tenant, prompt), first)
    assert.deepEqual(
      await Promise.all(['owner a', 'owner a', 'owner b', undefined, 'owner a'].map(t => answer(t, prompt))),
      Array(5).fill(first)
    )
    assert.deepEqual(await answer('owner a', prompt.slice(0, 33)), await answer('owner c', prompt.slice(0, 33)))
  } finally {
    await runner.close()
  }
})

test('a cache that does not hold the context that was asked for is refused at the start', async () => {
  const path = await tinyModel(dir)
  chmodSync(path, 0o600)
  await assert.rejects(
    ModelRunner.start(path, { threads: 1, context: 400, cacheBytes: 20 * 16 * 8 * 16 }),
    (e: unknown) => VeritError.is(e, 'VERIT_REQUEST') && /400 positions/.test(e.message)
  )
})

test('the runner computes as it is told to, and the answer is the same; what it cannot do it refuses', async () => {
  const path = join(dir, 'ternary.gguf')
  await writeRandomModel(
    path,
    openExecutor({ threads: 1 }),
    parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 32, heads: 2, ffn: 64, context: 64, vocab: 257 }),
    { scale: 20 }
  )
  chmodSync(path, 0o600)
  const answers: string[] = []
  const sets = instructionSets()
  const core =
    process.platform === 'linux' && sets.length > 1 ? processorList(allowedProcessors().allowed)?.[0] : undefined
  for (const options of [
    {},
    { packing: 'base3', threads: 2 },
    {
      packing: 'two-bit',
      instructionSet: sets.at(-2) ?? 'reference',
      ...(core !== undefined && { cores: String(core) })
    }
  ]) {
    const runner = await ModelRunner.start(path, options)
    try {
      if ('instructionSet' in options) assert.match(runner.info.executor, new RegExp(`${options.instructionSet}$`))
      if ('cores' in options) assert.equal(runner.info.threads, 1)
      let answer = ''
      for await (const e of runner.generate({ text: 'hello' }, { maxTokens: 12, seed: 3, ignoreEndOfText: true }))
        if (e.type === 'token') answer += ` ${e.token}`
      answers.push(answer)
    } finally {
      await runner.close()
    }
  }
  assert.equal(new Set(answers).size, 1)
  const refused =
    (problem: RegExp) =>
    (e: unknown): boolean =>
      VeritError.is(e, 'VERIT_USAGE') && problem.test(e.message)
  await assert.rejects(ModelRunner.start(path, { packing: 'tight' }), refused(/"tight" names no packing/))
  await assert.rejects(
    ModelRunner.start(path, { cores: '8000' }),
    refused(/no processor 8000|on Linux only|reference executor has none/)
  )
})
