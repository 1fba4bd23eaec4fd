import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openDataset } from '../data/dataset.ts'
import { prepare } from '../data/prepare.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { readTextFile } from './text-source.ts'
import type { TokenSource } from './token-source.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-text-source-'))
after(() => rmSync(root, { recursive: true }))

const idsOf = (source: TokenSource): number[] => {
  const ids = new Int32Array(source.length)
  source.read(0, ids.length, ids)
  return [...ids]
}

/** The tokens that training sees of a text, and those that an evaluation sees of the same file. */
async function bothReadings(name: string, content: string, kind: 'bpe' | 'character'): Promise<[number[], number[]]> {
  const path = join(root, name)
  const out = join(root, `${name}-data`)
  writeFileSync(path, content)
  const training = { kind, vocabSize: 280 }
  await prepare([path], { out, validation: 0, training, deduplicate: false, progress: { write: () => true } })
  using data = openDataset(out)
  const tokenizer = Tokenizer.fromJSON(readFileSync(data.tokenizerPath, 'utf8'))
  return [idsOf(data.split('train')), idsOf(readTextFile(path)(tokenizer))]
}

const lines = Array.from({ length: 40 }, (_, i) => `The ${i}th line of a caf\u00e9.`)
const TEXTS = {
  plain: lines.join('\n'),
  mark: `\ufeff${lines.join('\n')}`,
  crlf: `\ufeff${lines.join('\r\n')}\r\n`,
  cr: lines.join('\r'),
  controls: lines.join('\u0000\n\u0007'),
  separated: lines.join('\n<|endoftext|>\n')
}

for (const kind of ['bpe', 'character'] as const) {
  test(`evaluation reads a text as training does (${kind})`, async () => {
    for (const [name, content] of Object.entries(TEXTS)) {
      const [trained, evaluated] = await bothReadings(`${kind}-${name}`, content, kind)
      // A dataset ends its last document with the end-of-text token, too.
      assert.deepEqual(kind === 'bpe' ? [...evaluated, 0] : evaluated, trained, name)
    }
  })
}

test('a file and its twin with other line ends have the same tokens', async () => {
  const [plain] = await bothReadings('a', TEXTS.plain, 'bpe')
  for (const name of ['mark', 'cr'] as const) {
    const [, evaluated] = await bothReadings(`b-${name}`, TEXTS[name], 'bpe')
    assert.deepEqual(evaluated, plain.slice(0, -1))
  }
})

test('a file that is not plain text is refused', () => {
  const path = join(root, 'records.txt')
  writeFileSync(path, '{"a": 1}\n{"a": 2}\n')
  const trainer = new TokenizerTrainer({ kind: 'character' })
  trainer.push('{}":,a12 \n')
  trainer.end()
  const tokenizer = trainer.finish()
  assert.throws(() => readTextFile(path), { code: 'VERIT_DATA_KIND' })
  assert.equal(readTextFile(path, { asText: true })(tokenizer).length, 18)
})

test('control characters that cleaning removes are told', () => {
  const path = join(root, 'nul.txt')
  writeFileSync(path, 'some words\0 and more\n')
  const notices: string[] = []
  readTextFile(path, { onNotice: notice => void notices.push(notice) })
  assert.deepEqual(notices, ['Cleaned: 1 control character removed in 1 file'])
})
