/**
 * The vocabularies of real models with the ids that llama.cpp's maintainers keep for them: the files ggml-vocab-*.gguf,
 * .inp and .out in the folder models/ of llama.cpp. They are large and not part of Verit; docs/internals/formats.md
 * says how to get them. Skipped unless VERIT_VOCAB_DIR names that folder.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { readTokenizer } from '../src/model/gguf-tokenizer.ts'

const folder = process.env['VERIT_VOCAB_DIR'] ?? ''
/** Those whose tokenizer and pre-tokenizer Verit has. */
const names = [
  'llama-spm',
  'phi-3',
  'gpt-2',
  'llama-bpe',
  'qwen2',
  'qwen35',
  'mpt',
  'command-r',
  'refact',
  'starcoder',
  'falcon',
  'deepseek-coder',
  'deepseek-llm',
  'gemma-4'
]

for (const name of names) {
  const path = join(folder, `ggml-vocab-${name}.gguf`)
  test(
    `every text of ggml-vocab-${name} has the ids that llama.cpp gives it`,
    { skip: folder === '' || !existsSync(path) },
    () => {
      using file = openGguf(path)
      const tokenizer = readTokenizer(file.name, file.metadata)
      const texts = readFileSync(`${path}.inp`, 'utf8').split('\n__ggml_vocab_test__\n')
      const lines = readFileSync(`${path}.out`, 'utf8').split('\n')
      assert.ok(texts.length > 30)
      for (const [i, text] of texts.entries()) {
        const expected = lines[i]!.trim()
          .split(/\s+/)
          .filter(n => n !== '')
          .map(Number)
        const ids = tokenizer.encode(text)
        assert.deepEqual([...ids], expected, JSON.stringify(text))
        assert.equal(tokenizer.decode(ids), text)
        const stream = tokenizer.decodeStream()
        assert.equal(expected.map(id => stream.push(id)).join('') + stream.end(), text)
        // In a stream, added tokens are plain text; only mpt's vocabulary has some that these texts spell.
        if (name === 'mpt') continue
        const input = tokenizer.encodeStream()
        assert.deepEqual([...text].flatMap(c => [...input.push(c)]).concat([...input.end()]), expected)
      }
    }
  )
}
