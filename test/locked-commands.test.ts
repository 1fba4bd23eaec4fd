/**
 * Commands that run a model file in their own process lock it first, as the runner of a server is locked. Here one
 * for each of the two ways in which they open it; the others are in test/full.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { addon } from '../src/exec/native.ts'
import { locked } from './locked.ts'
import { tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-locked-'))
after(() => rmSync(dir, { recursive: true }))
const model = await tinyModel(dir, 16_384)
const skip = process.platform !== 'linux' || addon() === undefined ? 'nothing is locked here' : false

test('generate gives up files, network, processes and new rights, and still writes its output', { skip }, async () => {
  const out = openSync(join(dir, 'out'), 'w')
  const options = ['--seed', '1', '--echo', '--ignore-end-of-text', '--max-tokens', '6000']
  const child = await locked(['generate', model, 'ab', ...options], out)
  closeSync(out)
  assert.deepEqual(await once(child, 'exit'), [0, null])
  assert.match(readFileSync(join(dir, 'out'), 'utf8'), /^ab[^]*\n$/)
})

test('bench does, too', { skip }, async () => {
  const child = await locked(['bench', '--model', model, '--threads', '1'], 'ignore')
  child.kill('SIGKILL')
  await once(child, 'exit')
})
