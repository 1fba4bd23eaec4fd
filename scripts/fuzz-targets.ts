/**
 * What is fuzzed: each target makes an input from a number alone, and runs it. A run ends in order, in one VeritError,
 * or it is a finding.
 */
import { readFileSync } from 'node:fs'
import { ChatFormat } from '../src/engine/chat-format.ts'
import { ChatTemplate } from '../src/engine/chat-template.ts'
import { byteTokenizer, writeRandomModel } from '../src/bench/random-model.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import { GgufFile } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { parseSafetensors, writeSafetensors } from '../src/formats/safetensors.ts'
import { TorchFile } from '../src/formats/torch-file.ts'
import { decodeTernary, encodeTernary } from '../src/weights/ternary-tensor.ts'
import type { TernaryTypeName } from '../src/weights/registry.ts'
import { VeritError } from '../src/lib/errors.ts'
import { bytesSource } from '../src/lib/regular-file.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { readConfig } from '../src/model/gguf-config.ts'
import { readTokenizer } from '../src/model/gguf-tokenizer.ts'
import { FROM_RUNNER_LIMIT, FrameDecoder, LOAD_LIMIT, encodeFrame } from '../src/runner/frames.ts'
import { checkFromRunner, checkToRunner } from '../src/runner/messages.ts'
import { TokenizerTrainer } from '../src/tokenizer/train-tokenizer.ts'
import { Tokenizer } from '../src/tokenizer/tokenizer.ts'
import { mutatePieces, piecesOf } from './fuzz-mutate.ts'
import { sentencePieceTarget } from './fuzz-sentencepiece.ts'
import { binary, choices, textual, written } from './fuzz-target.ts'
import type { Target } from './fuzz-target.ts'

/** Types of the pieces below: unknown, control, bytes, normal, user-defined. */
function pieceType(id: number): number {
  if (id === 0) return 2
  if (id <= 2) return 3
  if (id <= 258) return 6
  return id <= 260 ? 1 : 4
}

/** A model of 262 tokens with SentencePiece's kind of tokenizer. */
function withSentencePieces(model: Buffer): Promise<Buffer> {
  const file = new GgufFile(bytesSource(model, 'seed'))
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '\u2581Wh', 'at', '<tag>']
  const metadata = [...file.metadata.entries].filter(([key]) => !key.startsWith('tokenizer.'))
  metadata.push(
    ['tokenizer.ggml.model', gguf.string('llama')],
    ['tokenizer.ggml.tokens', gguf.strings(tokens)],
    ['tokenizer.ggml.scores', gguf.f32s(tokens.map((_, id) => -id))],
    ['tokenizer.ggml.token_type', gguf.i32s(tokens.map((_, id) => pieceType(id)))],
    ['tokenizer.ggml.bos_token_id', gguf.u32(1)],
    ['tokenizer.ggml.eos_token_id', gguf.u32(2)],
    ['tokenizer.ggml.add_space_prefix', gguf.bool(true)]
  )
  return written(path =>
    writeGguf(path, {
      metadata,
      tensors: file.tensors.map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
    })
  )
}

async function ggufTarget(): Promise<Target> {
  const trits = Int8Array.from({ length: 512 }, (_, i) => (i % 3) - 1)
  const ternary = (type: TernaryTypeName) => ({
    name: `blk.0.${type}`,
    type,
    shape: [2, 256],
    data: encodeTernary(type, trits, Float32Array.of(0.5))
  })
  const every = await written(path =>
    writeGguf(path, {
      metadata: [
        ['general.architecture', gguf.string('bitnet-b1.58')],
        ['general.alignment', gguf.u32(32)],
        ['a.u8', gguf.u8(1)],
        ['a.u16', gguf.u16(1)],
        ['a.i32', gguf.i32(-1)],
        ['a.u64', gguf.u64(1n)],
        ['a.f32', gguf.f32(1e-5)],
        ['a.bool', gguf.bool(true)],
        ['split.count', gguf.u16(1)],
        ['a.strings', gguf.strings(['a', 'Ġb', ''])],
        ['a.ints', gguf.i32s([1, 2])],
        ['a.floats', gguf.f32s([0.5, -1])],
        ['a.bools', { type: 'array', of: 'bool', value: [true, false] }]
      ],
      tensors: [
        { name: 'token_embd.weight', type: 'F16', shape: [4, 8], data: new Uint8Array(64) },
        ternary('I2_S'),
        ternary('TQ1_0'),
        ternary('TQ2_0'),
        { name: 'output_norm.weight', type: 'F32', shape: [3], data: new Uint8Array(12) }
      ]
    })
  )
  const model = (config: Record<string, unknown>) =>
    written(path => writeRandomModel(path, referenceExecutor(), parseModelConfig(config)))
  const decoder = { layers: 1, hidden: 8, heads: 2, kvHeads: 1, ffn: 8, context: 8, vocab: 257, eps: 1e-5 }
  const seeds = [
    every,
    await model({ kind: 'gpt', layers: 1, hidden: 4, heads: 2, ffn: 4, context: 8, vocab: 257, bias: true }),
    await model({ kind: 'bitnet', layers: 1, hidden: 8, heads: 4, kvHeads: 2, ffn: 8, context: 8, vocab: 257 }),
    await model({
      kind: 'bitnet',
      layers: 1,
      hidden: 8,
      heads: 2,
      ffn: 8,
      context: 8,
      vocab: 257,
      activation: 'silu',
      subNorms: false,
      tied: false
    }),
    await model({ kind: 'llama', ...decoder, ropeDivisors: [1, 2], ropeScaling: 'yarn', ropeFactor: 4 }),
    await model({ kind: 'qwen3moe', ...decoder, experts: 2, expertsUsed: 1, expertFfn: 4 }),
    await model({ kind: 'lfm2', ...decoder, layers: 2, convWidth: 3, attentionLayers: [1] }),
    await model({ kind: 'gemma3', ...decoder, window: 4 }),
    await withSentencePieces(
      await model({ kind: 'gpt', layers: 1, hidden: 4, heads: 2, ffn: 4, context: 8, vocab: 262, bias: true })
    )
  ]
  const read = (bytes: Buffer): GgufFile => new GgufFile(bytesSource(bytes, 'fuzzed.gguf'))
  return binary(
    seeds.map(bytes => ({ bytes, focus: read(bytes).dataOffset })),
    input => {
      const file = read(input)
      for (const t of file.tensors) {
        const data = file.readTensor(t.name)
        if (t.type === 'I2_S' || t.type === 'TQ1_0' || t.type === 'TQ2_0')
          decodeTernary(t.type, data, t.elements, t.name)
      }
      readConfig(file)
      readTokenizer(file.name, file.metadata).encode('What is read, 123 <|endoftext|> ünd so', { allowSpecial: true })
    }
  )
}

async function safetensorsTarget(): Promise<Target> {
  const plain = await written(path =>
    writeSafetensors(
      path,
      new Map([
        ['a', { dtype: 'F32', shape: [2, 2], data: new Float32Array(4) }],
        ['b.weight', { dtype: 'BF16', shape: [3], data: new Uint16Array(3) }],
        ['scalar', { dtype: 'I64', shape: [], data: new BigInt64Array(1) }],
        ['empty', { dtype: 'U8', shape: [0, 7], data: new Uint8Array(0) }]
      ]),
      { format: 'pt', step: '7' }
    )
  )
  const length = 8 + Number(plain.readBigUInt64LE())
  const run = (input: Buffer): void => {
    const file = parseSafetensors(input)
    for (const name of file.tensors.keys()) file.read(name)
  }
  const flips = binary([{ bytes: plain, focus: length }], run)
  const words = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '"__metadata__"',
    '"dtype"',
    '"shape"',
    '"data_offsets"',
    '"F32"',
    '"\\ud800"',
    '0',
    '-1',
    '1e9',
    '9007199254740993',
    '4294967296',
    'null',
    ' '
  ]
  const json = piecesOf(plain.toString('utf8', 8, length))
  return {
    run,
    // Half of them in the JSON, with a length that fits.
    input(seed, index) {
      const c = choices(seed, index)
      if (c.below(2) === 0) return flips.input(seed, index)
      const header = Buffer.from(mutatePieces(json, words, c))
      const head = Buffer.alloc(8)
      head.writeBigUInt64LE(BigInt(header.length))
      return Buffer.concat([head, header, plain.subarray(length)])
    }
  }
}

function tokenizerTarget(): Target {
  const trainer = new TokenizerTrainer({ vocabSize: 270 })
  trainer.push('one two three four five one two three four one two three 1000 1000 '.repeat(4))
  trainer.end()
  const text = trainer.finish().toJSON()
  const small = `${text.slice(0, text.indexOf('"vocab": {') + 10)}"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}`
  const words = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    'null',
    'true',
    '-1',
    '1e999',
    '0',
    '1048576',
    '"BPE"',
    '"vocab"',
    '"merges"',
    '"__proto__"',
    '"constructor"',
    '"a b"',
    '["a", "b"]',
    '"\\ud800"',
    '"id"',
    '"content"',
    '"special"',
    '"lstrip": true',
    '"normalizer": {}',
    '"Digits"',
    '"ByteLevel"',
    '"Regex"',
    '(',
    '\\u0000'
  ]
  return textual([text, small, text], words, input => {
    Tokenizer.fromJSON(input.toString('utf8')).encode('one two <|endoftext|> 1000 ünd', { allowSpecial: true })
  })
}

function templateTarget(): Target {
  const seeds = [
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + " +
      "'<|im_end|>' + '\n' }}{% endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0].content %}{% set " +
      'loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}{% for m in ' +
      "loop_messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must " +
      "alternate') }}{% endif %}{{ m.content | replace('a', 'b') | upper }}{% endfor %}",
    '{% macro show(x, depth=2) %}{% if depth > 0 %}[{{ x }}{{ show(x, depth - 1) }}]{% endif %}{% endmacro %}{% ' +
      "set ns = namespace(n=0, text='') %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% set ns.text = " +
      "ns.text ~ show(i) %}{% endfor %}{{ ns.n }}{{ ns.text.split('[') | join('-') }}{{ {'a': [1, 2.5, none]} | " +
      'tojson(indent=2) }}',
    "{% for k, v in {'a': 1, 'b': 'x'}.items() %}{{ k }}{{ v if v is number else v | length }}{% break %}{% " +
      "endfor %}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | last }}{% " +
      'filter upper %}x{% endfilter %}'
  ]
  const words = [
    '{%',
    '%}',
    '{{',
    '}}',
    '{#',
    '#}',
    '-',
    'for',
    'endfor',
    'if',
    'endif',
    'macro',
    'endmacro',
    'set',
    'in',
    'range',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '|',
    '~',
    '+',
    '*',
    '%',
    '.',
    ':',
    ',',
    "'",
    '"',
    '4096',
    '1000000000',
    '-1',
    '1e308',
    'none',
    'not',
    'is',
    'and',
    'loop',
    'namespace',
    'messages',
    'constructor',
    '__proto__',
    'caller',
    'call',
    'tojson',
    'indent',
    'replace',
    'join',
    'split',
    'items',
    'sort',
    'unique',
    'batch',
    'map',
    'select',
    'string',
    'int',
    'slice',
    'first',
    'default',
    'safe',
    'dictsort',
    '\\',
    '\n'
  ]
  const tokenizer = byteTokenizer(260, ['<|im_start|>', '<|im_end|>'])
  const messages = [
    { role: 'system' as const, content: 'Be kind.' },
    { role: 'user' as const, content: 'Hi <|im_end|> 👍 {{ 1 }}' }
  ]
  return textual(seeds, words, input => {
    const template = input.toString('utf8')
    // The same rendering as in the runner, with less time than there: an input that needs it is refused, not a hang.
    new ChatTemplate(template, 100).render({
      messages,
      bos_token: '<s>',
      eos_token: '</s>',
      add_generation_prompt: true
    })
    // Mutations that render at once go through the whole way to tokens as well.
    const specials = new ChatFormat(template, tokenizer).prompt(messages).filter(id => tokenizer.isSpecial(id)).length
    const spelt = template.split(/<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>/).length - 1
    if (specials > 0 && spelt === 0 && !/[<|>]|token/.test(template))
      throw new Error('a special token came from a message')
  })
}

function framesTarget(): Target {
  const frames = [
    { type: 'load', name: 'm', threads: 2 },
    { type: 'generate', id: 1, prompt: { text: 'x' }, sampling: { maxTokens: 5, temperature: 0.5, stop: ['a'] } },
    { type: 'generate', id: 2, prompt: { messages: [{ role: 'user', content: 'é' }] }, sampling: {} },
    { type: 'cancel', id: 1 },
    { type: 'more', id: 1, tokens: 32 },
    { type: 'ping', id: 3 },
    { type: 'start', id: 1, promptTokens: 3, cachedTokens: 0, seed: 1 },
    { type: 'token', id: 1, token: 5, text: 'é', logprob: -0.5, top: [{ token: 1, text: 'a', logprob: -1 }] },
    { type: 'end', id: 1, reason: 'stop', promptTokens: 3, completionTokens: 1, promptMs: 1, predictedMs: 2 },
    { type: 'error', id: 1, code: 'VERIT_CHAT', fields: { problem: 'x' } },
    { type: 'pong', id: 3, cache: { pages: 4, held: 1, promised: 2, kept: 1 } },
    {
      type: 'locked',
      sandbox: {
        native: true,
        noNewPrivs: true,
        landlock: 7,
        seccomp: true,
        codeRange: true,
        noRing: true,
        ownDescriptors: true,
        memoryBytes: 1 << 30
      }
    },
    {
      type: 'ready',
      info: {
        name: 'm',
        architecture: 'bitnet',
        parameters: 1,
        vocabSize: 2,
        context: 3,
        executor: 'native',
        threads: 2
      }
    },
    { type: 'failed', code: 'VERIT_GGUF', fields: { file: 'm', offset: 1, problem: 'x' } }
  ]
  const seeds = [frames.slice(0, 6), frames.slice(6), frames].map(list =>
    Buffer.concat(list.map(f => encodeFrame(f, LOAD_LIMIT)))
  )
  return binary(
    seeds.map(bytes => ({ bytes, focus: bytes.length })),
    input => {
      const cut = input.length > 0 ? input[0]! % (input.length + 1) : 0
      let refused: unknown
      // Each direction reads all of it, in two pieces.
      for (const [limit, check] of [
        [LOAD_LIMIT, checkToRunner],
        [FROM_RUNNER_LIMIT, checkFromRunner]
      ] as const) {
        const decoder = new FrameDecoder(limit)
        try {
          for (const part of [input.subarray(0, cut), input.subarray(cut)])
            for (const message of decoder.push(part)) check(message)
        } catch (e) {
          if (!VeritError.is(e, 'VERIT_RUNNER_FRAME')) throw e
          refused = e
        }
        if (decoder.held > limit + 4 + input.length) throw new Error(`${decoder.held} bytes are held`)
      }
      if (refused !== undefined) throw refused
    }
  )
}

function torchTarget(): Target {
  const bytes = readFileSync(new URL('../test/fixtures/torch/nanogpt.pt', import.meta.url))
  const run = (input: Buffer): void => {
    const file = new TorchFile(bytesSource(input, 'fuzz.pt'))
    for (const name of file.tensors.keys()) file.read(name)
  }
  return binary([{ bytes, focus: bytes.length }], run)
}

export const targets: Readonly<Record<string, () => Target | Promise<Target>>> = {
  gguf: ggufTarget,
  safetensors: safetensorsTarget,
  torch: torchTarget,
  tokenizer: tokenizerTarget,
  sentencepiece: sentencePieceTarget,
  template: templateTarget,
  frames: framesTarget
}

/** Runs one input. True when it was accepted, false when it was refused in order; anything else is thrown. */
export function accepted(target: Target, input: Buffer): boolean {
  try {
    target.run(input)
    return true
  } catch (e) {
    if (VeritError.is(e) && e.code !== 'VERIT_INTERNAL') return false
    throw e
  }
}
