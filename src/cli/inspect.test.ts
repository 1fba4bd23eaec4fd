import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { encodeFields, models, piece, START } from '../../scripts/sentencepiece-writer.ts'
import { veritSync } from '../../test/cli.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { writeSafetensors } from '../formats/safetensors.ts'
import { exportHf } from '../model/export-hf.ts'
import { ggufSource } from '../model/model-source.ts'
import { digestBytes } from '../trust/digest.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-inspect-'))
after(() => rmSync(dir, { recursive: true }))
const run = (...args: string[]) => veritSync(['inspect', ...args])

const model = join(dir, 'm.gguf')
writeGguf(model, {
  metadata: [
    ['general.architecture', gguf.string('gpt')],
    ['evil', gguf.string('\x1b[2J\u202eback\nnext')],
    ['eps', gguf.f32(1e-5)],
    ['big', gguf.u64(2n ** 63n)],
    ['tokens', gguf.strings(Array.from({ length: 1000 }, (_, i) => `t${i}`))]
  ],
  tensors: [
    { name: 'w', type: 'F32', shape: [3, 5], data: new Uint8Array(60) },
    { name: 'v', type: 'F16', shape: [4], data: new Uint8Array(8) }
  ]
})

test('a GGUF file is shown with digest, abbreviated arrays and totals, without control characters', () => {
  const { status, stdout, stderr } = run(model)
  assert.equal(status, 0, stderr)
  assert.ok(stdout.includes(digestBytes(readFileSync(model))))
  assert.match(stdout, /evil +string +"\\u\{1b\}\[2J\\u\{202e\}back\\nnext"/)
  assert.match(stdout, /eps +f32 +0\.00001\n/)
  assert.match(stdout, /\["t0", .*"t7", … 1,000 in all\]/)
  assert.match(stdout, /w +F32 +3 x 5 +60 bytes/)
  assert.match(stdout, /19 parameters: 1 F32 \(60 B\), 1 F16 \(8 B\)/)
  assert.doesNotMatch(stdout.replaceAll('\n', ''), /\p{C}/u)
})

test('--json gives one object, --full the whole arrays', () => {
  const report = JSON.parse(run('--json', model).stdout) as {
    metadata: { key: string; value: unknown; length?: number }[]
    parameters: number
    sha256: string
  }
  assert.equal(report.parameters, 19)
  assert.equal(report.sha256, digestBytes(readFileSync(model)))
  const entry = (key: string) => report.metadata.find(e => e.key === key)
  assert.equal(entry('evil')!.value, '\x1b[2J\u202eback\nnext')
  assert.equal(entry('big')!.value, '9223372036854775808')
  assert.deepEqual(entry('tokens'), {
    key: 'tokens',
    type: 'string[]',
    value: ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7'],
    length: 1000
  })
  const full = JSON.parse(run('--json', '--full', model).stdout) as typeof report
  assert.equal((full.metadata.find(e => e.key === 'tokens')!.value as string[]).length, 1000)
})

test('the memory that a model needs is shown, or why Verit does not run it', () => {
  const own = fileURLToPath(new URL('../../models/verit-sotu.gguf', import.meta.url))
  assert.match(
    run(own).stdout,
    /\nMemory needed: weights 5\.0 MB; KV cache of one sequence 1\.0 MB for 256 tokens\nTo run it:\n {2}.* generate .*\n$/
  )
  const { memory } = JSON.parse(run('--json', own).stdout) as { memory: { weights: number; cache: unknown } }
  assert.deepEqual([memory.weights > 5e6, memory.cache], [true, [{ tokens: 256, bytes: 2 ** 20 }]])
  const problem = /m\.gguf is not a model that Verit can run: its architecture is "gpt"; Verit runs bitnet, [^\n]*/
  assert.match(run(model).stdout, new RegExp(`\nVerit does not run this file: .*${problem.source}\\.\n$`))
  const other = JSON.parse(run('--json', model).stdout) as { memory?: unknown; notRun: string }
  assert.ok(other.memory === undefined && problem.test(other.notRun))
})

test('a safetensors file is shown as well', () => {
  const path = join(dir, 'c.safetensors')
  writeSafetensors(path, new Map([['a', { dtype: 'F32', shape: [2, 2], data: new Float32Array(4) }]]), { step: '7' })
  const { status, stdout } = run(path)
  assert.equal(status, 0)
  assert.match(stdout, /safetensors, \d+ bytes/)
  assert.match(stdout, /step +string +"7"/)
  assert.match(stdout, /a +F32 +2 x 2 +16 bytes/)
})

test('a SentencePiece model is shown as well, by its content and under any name', () => {
  const path = join(dir, 'spiece.bin')
  writeFileSync(path, readFileSync(new URL('../../test/vectors/sentencepiece/bytes.model', import.meta.url)))
  const { status, stdout, stderr } = run(path)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /spiece\.bin: SentencePiece model, 11,580 bytes/)
  assert.match(stdout, /byte_fallback +bool +true\n/)
  assert.match(stdout, /byte_pieces +count +256\n/)
  assert.match(stdout, /pieces +string\[\] +\["<unk>", "<s>", .* 700 in all\]\n/)
  const report = JSON.parse(run('--json', '--full', path).stdout) as {
    format: string
    metadata: { key: string; value: unknown }[]
  }
  assert.equal(report.format, 'SentencePiece model')
  assert.equal((report.metadata.find(e => e.key === 'scores')!.value as number[]).length, 700)
  writeFileSync(path, readFileSync(path).subarray(0, 5004))
  assert.match(
    run(path).stderr,
    /cannot be used as a SentencePiece model: at byte \d+, the file is cut: it has 5004 of at least 5012 bytes \(field 1 has \d+ bytes, where \d+ are left\).* \[VERIT_SENTENCEPIECE\]\n$/
  )
})

test('--strict says that a SentencePiece model is good, or lists what is wrong with it and where', () => {
  const path = join(dir, 'tokenizer.model')
  writeFileSync(path, encodeFields(models.bytes))
  const good = run('--strict', path)
  assert.equal(good.status, 0, good.stderr)
  assert.equal(good.stdout, `${path}: good SentencePiece model\n${digestBytes(readFileSync(path))}\n`)
  const wrong = [...START, piece('a', NaN), piece('a'), piece('<0x-1>', 0, 6)]
  writeFileSync(path, encodeFields(wrong))
  const { status, stdout } = run('--strict', '--json', path)
  assert.equal(status, 1)
  const at = (n: number): number => encodeFields(wrong.slice(0, n)).length
  assert.deepEqual((JSON.parse(stdout) as { problems: unknown }).problems, [
    { problem: 'its model type is unigram, which Verit does not encode; it encodes bpe', offset: 0 },
    { problem: 'piece 3 ("a") has the score NaN', offset: at(3) },
    { problem: 'piece 5 is "<0x-1>", where a byte piece is <0x00> to <0xFF>', offset: at(5) }
  ])
  writeFileSync(path, 'no model at all')
  assert.match(
    run('--strict', path).stdout,
    /1 problem \(SentencePiece model\)\n {2}at byte 0: field 13 has the wire type 6/
  )
})

test('a tokenizer.json is not taken for a damaged model: it is checked with --strict', () => {
  const path = join(dir, 'tokenizer.json')
  writeFileSync(path, '{"model": {}}')
  assert.match(run(path).stderr, /is a tokenizer\.json, .* Add --strict\. \[VERIT_USAGE\]\n$/)
  assert.match(run('--strict', path).stdout, /\(tokenizer\.json\)\n/)
})

test('a damaged file and a missing one end in one clear sentence and a failing exit status', () => {
  const path = join(dir, 'cut.gguf')
  writeFileSync(path, readFileSync(model).subarray(0, 200))
  const cut = run(path)
  assert.equal(cut.status, 1)
  assert.equal(cut.stdout, '')
  assert.match(cut.stderr, /^verit: .*cut\.gguf cannot be used as a GGUF file: at byte \d+, .* \[VERIT_GGUF\]\n$/)
  const missing = run(join(dir, 'none.gguf'))
  assert.equal(missing.status, 2)
  assert.match(missing.stderr, /\[VERIT_FILE_NOT_FOUND\]\n$/)
})

test('JSON that is no tokenizer.json is named for what it is, with and without --strict', () => {
  const others: [string, RegExp][] = [
    [
      '{"architectures": ["LlamaForCausalLM"], "hidden_size": 64}',
      /it is the configuration of a Hugging Face model.*convert the folder/
    ],
    [
      '{"metadata": {"total_size": 4}, "weight_map": {"model": "model-00001-of-00002.safetensors"}}',
      /an index of safetensors shards/
    ],
    ['{"tokenizer_class": "LlamaTokenizer", "bos_token": {"content": "<s>"}}', /the settings of a tokenizer/],
    ['{"do_sample": true, "eos_token_id": 2}', /the generation settings/],
    ['[{"model": 1}]', /a JSON file, but not a tokenizer\.json/],
    ['{"a": {"model": 1}, "b": "\\"model\\": 1"}', /a JSON file, but not a tokenizer\.json/]
  ]
  const path = join(dir, 'some.json')
  for (const [content, pattern] of others) {
    writeFileSync(path, content)
    for (const { status, stderr } of [run(path), run('--strict', path)]) assert.match(`${status} ${stderr}`, pattern)
  }
  writeFileSync(path, '{"version": "1.0", "model": {}}')
  assert.match(run(path).stderr, /is a tokenizer\.json, which is checked but not shown/)
  assert.match(run('--strict', path).stdout, /problem/)
})

test('a folder, a checkpoint and a model in parts are named, with the command that gets them running', async () => {
  const hf = fileURLToPath(new URL('../../test/fixtures/hf-bitnet', import.meta.url))
  assert.match(
    run(hf).stdout,
    /: Hugging Face folder\n.*Model type +bitnet\nVerit does not read it: .*no tokenizer\.json/
  )
  const model = fileURLToPath(new URL('../../models/verit-sotu.gguf', import.meta.url))
  const path = join(dir, 'as-hf')
  using file = openGguf(model)
  await exportHf(ggufSource(file), path)
  const { stdout } = run(path)
  assert.match(stdout, /Model type +bitnet\n {2}Architecture +bitnet\n {2}Parameters +4,\d{3},\d{3}\n/)
  assert.match(stdout, /To run it:\n {2}verit convert \S*as-hf model\.gguf\n$/)
  assert.equal((JSON.parse(run(path, '--json').stdout) as { kind: string }).kind, 'Hugging Face folder')

  const torch = fileURLToPath(new URL('../../test/fixtures/torch/nanogpt.pt', import.meta.url))
  assert.match(
    run(torch).stdout,
    /: PyTorch checkpoint\n[^]*Configuration +n_layer 1, n_head 2,.*\nVerit does not read it: /
  )
  const other = join(dir, 'other')
  mkdirSync(other)
  assert.match(run(other).stdout, /: folder\n.*\nVerit does not read it: it has no config\.json/)
  writeFileSync(join(other, 'adapter_config.json'), '{"base_model_name_or_path": "org/base\\u001b[31m"}')
  assert.match(run(other).stdout, /LoRA adapter \(PEFT\)\n {2}Base model +org\/base\\+u\{1b\}/)
  writeFileSync(join(other, 'genai_config.json'), '{}')
  assert.match(run(other).stdout, /folder of ONNX Runtime GenAI/)
})
