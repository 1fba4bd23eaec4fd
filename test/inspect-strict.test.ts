/** `verit inspect --strict`: finds every problem that opening finds the first of, and none in a file that opens. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { targets } from '../scripts/fuzz-targets.ts'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import { checkGguf } from '../src/formats/gguf-header.ts'
import { parseGguf } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { parseSafetensorsHeader } from '../src/formats/safetensors-header.ts'
import { VeritError } from '../src/lib/errors.ts'
import { ProblemList } from '../src/lib/problem-list.ts'
import { bytesSource, openRegular } from '../src/lib/regular-file.ts'
import type { ByteSource } from '../src/lib/regular-file.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { examineGguf } from '../src/model/examine-gguf.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { TokenizerTrainer } from '../src/tokenizer/train-tokenizer.ts'
import { digestBytes } from '../src/trust/digest.ts'
import { veritSync } from './cli.ts'
import { entry, forge, stringEntry, u32, u64 } from './forge.ts'
import { ggufAttacks, ggufControls } from './gguf-attacks.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-strict-'))
after(() => rmSync(dir, { recursive: true }))
const run = (...args: string[]) => veritSync(['inspect', '--strict', ...args])

type Parse = (source: ByteSource, found?: ProblemList) => unknown

/** The first problem of the plain reader, or none; and all that the collecting one finds. */
async function both(parse: Parse, bytes: Buffer): Promise<{ first: VeritError | undefined; found: ProblemList }> {
  const found = new ProblemList()
  const source = bytesSource(bytes, 'x')
  let first: VeritError | undefined
  try {
    parse(source)
  } catch (e) {
    assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
    first = e
  }
  await found.attempt(
    () => parse(source, found),
    e => ({ problem: (e.fields as { problem: string }).problem })
  )
  return { first, found }
}

test('every malformed file has the problem that opening ends with, and good files have none', async () => {
  for (const [id, what, bytes] of ggufAttacks) {
    const { first, found } = await both(checkGguf, bytes)
    const { problem } = first!.fields as { problem: string }
    assert.ok(
      found.shown.some(p => p.problem === problem),
      `${id} ${what}: ${problem} is not among ${JSON.stringify(found.shown)}`
    )
  }
  for (const f of ggufControls) assert.ok((await both(checkGguf, forge(f))).found.none)
})

test('a file that was cut has one problem that says so, first, and a few of those that follow from it', async () => {
  const tensors = Array.from({ length: 10 }, (_, i) => ({
    name: `t${i}`,
    type: 'F32' as const,
    shape: [8],
    data: new Uint8Array(32)
  }))
  const path = join(dir, 'cut.gguf')
  writeGguf(path, { metadata: [['general.architecture', gguf.string('gpt')]], tensors })
  const bytes = readFileSync(path)
  const { first, found } = await both(checkGguf, bytes.subarray(0, bytes.length - 200))
  const cut = `the file is cut: it has ${bytes.length - 200} of ${bytes.length} bytes`
  assert.equal((first!.fields as { problem: string }).problem, cut)
  assert.deepEqual(
    found.shown.map(p => p.problem.replace(/ has .* beyond/, ' beyond')),
    [
      cut,
      ...['t3', 't4', 't5'].map(t => `tensor ${t} beyond the end of the file at ${bytes.length - 200}`),
      '4 more tensors end beyond it'
    ]
  )
  const unpadded = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(0),
    u64(1),
    stringEntry('general.architecture', 'none')
  ])
  // without tensors nothing is missing behind the header
  assert.deepEqual((await both(checkGguf, unpadded)).found.shown, [])
})

test('several faults of one file are all found, each with its byte', async () => {
  const bytes = forge({
    entries: [
      stringEntry('', 'v'),
      stringEntry('a', 'v'),
      stringEntry('a', 'w'),
      entry('k', 7, Buffer.from([2])),
      entry('general.alignment', 4, u32(13))
    ],
    tensors: [{ type: 999 }, { name: 'b\n', offset: 4 }, { name: 'c', ne: [32, 0] }]
  })
  const { found } = await both(checkGguf, bytes)
  const texts = found.shown.map(p => p.problem)
  for (const expected of [
    /key is empty/,
    /a appears twice/,
    /bool with the value 2/,
    /alignment is 13/,
    /type number 999/,
    /control characters: b\\n/,
    /offset 4, not a multiple/,
    /dimension of 0/
  ]) {
    assert.ok(
      texts.some(t => expected.test(t)),
      `${expected} in ${texts.join('; ')}`
    )
  }
  assert.ok(found.shown.every(p => p.offset! > 0 && p.offset! < bytes.length))
  const json =
    '{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,1]},"c":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"__metadata__":{"x":1}}'
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(json.length))
  const other = await both(parseSafetensorsHeader, Buffer.concat([head, Buffer.from(json)]))
  assert.equal(other.found.shown.length, 4, JSON.stringify(other.found.shown))
})

test('mutated files have problems exactly when opening refuses them', async () => {
  for (const [name, parse] of [
    ['gguf', checkGguf],
    ['safetensors', parseSafetensorsHeader]
  ] as const) {
    const target = await targets[name]!()
    for (let i = 0; i < 2000; i++) {
      const { first, found } = await both(parse, target.input(42, i))
      assert.equal(
        found.none,
        first === undefined,
        `${name} ${i}: ${first?.message} against ${JSON.stringify(found.shown)}`
      )
    }
  }
})

test(
  'a model is examined to its values: everything that keeps it from being loaded is told, and a good one has ' +
    'its digest',
  async () => {
    const path = join(dir, 'm.gguf')
    await writeRandomModel(
      path,
      referenceExecutor(),
      parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, ffn: 32, context: 32, vocab: 260, bias: true })
    )
    const good = run('--json', path)
    assert.equal(good.status, 0, good.stderr)
    assert.deepEqual(JSON.parse(good.stdout), {
      file: path,
      format: 'gguf',
      good: true,
      sha256: digestBytes(readFileSync(path)),
      problems: [],
      more: 0
    })

    const file = parseGguf(readFileSync(path))
    const norm = new Float32Array(16).fill(NaN)
    writeGguf(path, {
      metadata: [
        ...file.metadata.entries,
        ['tokenizer.ggml.mask_token_id', gguf.u32(999)],
        ['tokenizer.chat_template', gguf.string('{% for')]
      ],
      tensors: [
        ...file.tensors
          .filter(t => t.name !== 'blk.0.ffn_up.bias')
          .map(t => ({
            name: t.name,
            type: t.type,
            shape: t.shape,
            data: t.name === 'output_norm.weight' ? new Uint8Array(norm.buffer) : file.readTensor(t.name)
          })),
        { name: 'more', type: 'F32', shape: [1], data: new Uint8Array(4) }
      ]
    })
    const { status, stdout } = run(path)
    assert.equal(status, 1)
    for (const expected of [
      /5 problems \(GGUF file\)/,
      /at byte \d+: .*mask_token_id is 999/,
      /there is no tensor blk\.0\.ffn_up\.bias/,
      /it has a tensor more/,
      /at byte \d+: tensor output_norm\.weight: it holds a value that is not a finite number/,
      /chat template refused it/
    ])
      assert.match(stdout, expected)
    await assert.rejects(loadModel(parseGguf(readFileSync(path)), referenceExecutor()), (e: unknown) =>
      VeritError.is(e)
    )
  }
)

test('a tokenizer is examined too; unknown kinds of file and claims of exabytes are refused at once', async () => {
  const path = join(dir, 'tokenizer.json')
  writeFileSync(path, '{"model": {"type": "BPE", "type": "BPE", "vocab": {"a": 1e999, "\\ud800": 0}}}')
  const twice = run('--json', path)
  assert.equal(twice.status, 1)
  assert.deepEqual((JSON.parse(twice.stdout) as { format: string; problems: unknown[] }).problems, [
    { problem: 'a name appears twice in one object', offset: 26 },
    { problem: 'a number is too large', offset: 56 },
    { problem: 'a string is not valid Unicode', offset: 63 }
  ])
  const trainer = new TokenizerTrainer({ vocabSize: 280 })
  trainer.push('one two three '.repeat(9))
  trainer.end()
  const form = JSON.parse(trainer.finish().toJSON()) as {
    normalizer: unknown
    padding: unknown
    model: { vocab: Record<string, unknown>; merges: unknown[] }
  }
  writeFileSync(path, JSON.stringify(form))
  assert.equal(run(path).status, 0)
  form.normalizer = form.padding = {}
  Object.assign(form.model.vocab, { first: -1, second: 1 })
  form.model.merges.push(7)
  writeFileSync(path, JSON.stringify(form))
  const { stdout: list } = run(path)
  for (const expected of [
    /it has padding/,
    /it normalizes text/,
    /the id of token "first"/,
    /share the id 1/,
    /merge \d+ is neither/
  ])
    assert.match(list, expected)
  form.normalizer = form.padding = undefined
  delete form.model.vocab['first']
  delete form.model.vocab['second']
  form.model.merges.splice(-1, 1, 'a zz', 'q')
  writeFileSync(path, JSON.stringify(form))
  const { stdout: judged } = run(path)
  for (const expected of [/2 problems/, /"a zz"\) does not join/, /"q"\) does not join/]) assert.match(judged, expected)
  const sparse = join(dir, 'sparse.gguf')
  writeFileSync(sparse, forge())
  truncateSync(sparse, 2 ** 42)
  const { status, stdout } = run(sparse)
  assert.equal(status, 1)
  assert.match(stdout, /1 problem \(GGUF file\)\n {2}at byte 0: the file claims 4398046511104 bytes/)
})

test('examining and loading agree on mutated models', async () => {
  const target = await targets['gguf']!()
  const executor = referenceExecutor()
  const path = join(dir, 'mutated.gguf')
  for (let i = 0; i < 300; i++) {
    const bytes = target.input(99, i)
    writeFileSync(path, bytes)
    const found = new ProblemList()
    using source = openRegular(path, 'the model')
    await examineGguf(source, found)
    let loaded = true
    try {
      await loadModel(parseGguf(bytes), executor)
    } catch (e) {
      assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
      loaded = false
    }
    assert.equal(found.none, loaded, `${i}: ${JSON.stringify(found.shown)}`)
  }
})
