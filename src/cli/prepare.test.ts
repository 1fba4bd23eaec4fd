import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { veritSync } from '../../test/cli.ts'
import type { Ended } from '../../test/cli.ts'
import type { Manifest } from '../data/manifest.ts'
import { defined } from '../lib/defined.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-cli-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'book.txt'), 'It was the best of times, it was the worst of times.\n'.repeat(40))

const verit = (args: string[], input?: string): Ended => veritSync(args, { cwd: folder, ...defined({ input }) })

test('verit prepare makes a dataset and says what is in it', () => {
  const made = verit(['prepare', 'book.txt', '--out', 'data', '--json', '--special', '<|user|>'])
  assert.equal(made.stderr, '')
  const manifest = JSON.parse(made.stdout) as Manifest
  assert.deepEqual(manifest, JSON.parse(readFileSync(join(folder, 'data/manifest.json'), 'utf8')))
  assert.equal(manifest.options.split.rule, 'tail')
  assert.equal(manifest.tokenizer.endOfText, 0)
  const again = verit(['prepare', 'book.txt', '--out', 'data'])
  assert.equal(again.status, 2)
  assert.match(again.stderr, /^verit: data exists already .* --force\. \[VERIT_FILE_EXISTS\]\n$/)
})

test('verit tokenizer trains, encodes and decodes', () => {
  const made = verit(['tokenizer', 'train', 'book.txt', '--out', 't.json', '--vocab-size', '300', '--json'])
  const { vocabSize } = JSON.parse(made.stdout) as { vocabSize: number }
  assert.ok(vocabSize > 257 && vocabSize <= 300)
  const ids = verit(['tokenizer', 'encode', '-t', 't.json'], 'the times <|endoftext|>')
  assert.match(ids.stdout, /^\d+( \d+)*\n$/)
  assert.equal(verit(['tokenizer', 'decode', '-t', 't.json'], ids.stdout).stdout, 'the times <|endoftext|>')
  const special = verit(['tokenizer', 'encode', '-t', 't.json', '--allow-special', '--text', '<|endoftext|>', '--json'])
  assert.deepEqual(JSON.parse(special.stdout), { ids: [0], tokens: ['<|endoftext|>'], count: 1, bytes: 13 })
  const wrong = verit(['tokenizer', 'decode', '-t', 't.json', '300'])
  assert.equal(wrong.status, 1)
  assert.match(wrong.stderr, /There is no token 300/)
})
