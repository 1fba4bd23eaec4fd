import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MAIN, veritSync } from '../../test/cli.ts'
import { byteTokenizer, writeRandomModel } from '../bench/random-model.ts'
import { writeRandomPacked } from '../bench/random-packed.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { parseModelConfig } from '../model/config.ts'
import type { BitnetConfig } from '../model/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-convert-cli-'))
after(() => rmSync(folder, { recursive: true }))
const hf = fileURLToPath(new URL('../../test/fixtures/hf-bitnet', import.meta.url))
const verit = (...args: string[]) => veritSync(['convert', ...args], { cwd: folder })

test(
  'a model is converted, what was lost is said, and a file that is there is not replaced without ' + '--force',
  async () => {
    const config = parseModelConfig({
      kind: 'bitnet',
      layers: 1,
      hidden: 256,
      heads: 2,
      ffn: 256,
      context: 16,
      vocab: 512
    })
    await writeRandomModel(join(folder, 'in.gguf'), referenceExecutor(), config)
    const first = verit('in.gguf', 'out.gguf', '--ternary', 'tq2_0', '--head', 'q6_k')
    assert.equal(first.stderr, '')
    assert.match(
      first.stdout,
      /^out\.gguf: bitnet-b1\.58, 13 tensors, .*\nPrecision lost:\n {2}token_embd\.weight: F32 to Q6_K, 1\.\d % root mean square\n {2}scales of the ternary matrices: F32 to F16, .* % at most\n$/
    )
    using file = openGguf(join(folder, 'out.gguf'))
    assert.deepEqual(
      [file.tensor('token_embd.weight').type, file.tensor('blk.0.ffn_up.weight').type],
      ['Q6_K', 'TQ2_0']
    )
    const again = verit('in.gguf', 'out.gguf')
    assert.deepEqual([again.status, again.stdout], [2, ''])
    assert.match(again.stderr, /out\.gguf exists already/)
    assert.match(
      verit('out.gguf', 'out.gguf', '--force').stderr,
      /is the model itself\. Give the output another name\./
    )
    assert.match(verit('in.gguf', 'none/out.gguf').stderr, /no file or folder none \(the folder to write into\)/)
    const forced = JSON.parse(verit('in.gguf', 'out.gguf', '--force', '--json').stdout) as { losses: unknown[] }
    assert.deepEqual(forced.losses, [])

    assert.match(verit(folder, 'hf.gguf').stderr, /has no config\.json/)
    const bare = verit(hf, 'hf.gguf')
    assert.equal(bare.status, 2)
    assert.match(bare.stderr, /has no tokenizer\.json.*--tokenizer/)
    const whole = verit(hf, 'hf.gguf', '--tokenizer', 'in.gguf')
    assert.deepEqual([whole.stderr, whole.stdout.split('\n')[1]], ['', 'No precision was lost.'])
  }
)

test('a type of ternary matrices is refused where the model has none', async () => {
  await writeRandomModel(
    join(folder, 'gpt.gguf'),
    referenceExecutor(),
    parseModelConfig({ kind: 'gpt', layers: 1, hidden: 32, heads: 2, context: 16, vocab: 257 })
  )
  const { status, stderr } = verit('gpt.gguf', 'gpt-out.gguf', '--ternary', 'tq1_0')
  assert.equal(status, 2)
  assert.match(stderr, /gpt\.gguf is a gpt model: it has no ternary matrices\. Leave --ternary out\./)
  assert.match(verit('gpt.gguf', 'gpt-out.gguf').stdout, /^gpt-out\.gguf: gpt2, .*\nNo precision was lost\.\n$/)
})

test('an output name of another format, or of none, is refused before anything is written', () => {
  for (const name of ['out.safetensors', 'out']) {
    const { status, stdout, stderr } = verit('in.gguf', name, '--force')
    assert.deepEqual([status, stdout], [2, ''], name)
    assert.match(
      stderr,
      /verit convert writes GGUF unless --to says otherwise, and .* such as .*\.gguf, or write a folder with --to hf\. /
    )
    assert.ok(!existsSync(join(folder, name)))
  }
})

test(
  'the conversation of a Hugging Face folder goes into the file: template, begin token, every end, and unused ' +
    'tokens for spare rows',
  () => {
    const source = join(folder, 'chat-hf')
    cpSync(hf, source, { recursive: true })
    const tokenizer = byteTokenizer(500, ['<|begin_of_text|>', '<|eot_id|>']) // of 512 rows
    const json = JSON.parse(tokenizer.toJSON()) as Record<string, unknown>
    const begin = { id: '<|begin_of_text|>', ids: [1], tokens: ['<|begin_of_text|>'] }
    json['post_processor'] = {
      type: 'Sequence',
      processors: [
        { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
        {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: begin.id, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: { [begin.id]: begin }
        }
      ]
    }
    writeFileSync(join(source, 'tokenizer.json'), JSON.stringify(json))
    writeFileSync(join(source, 'chat_template.jinja'), '{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}')
    writeFileSync(join(source, 'generation_config.json'), JSON.stringify({ eos_token_id: [0, 2, 259] }))
    writeFileSync(
      join(source, 'tokenizer_config.json'),
      JSON.stringify({ eos_token: '<|endoftext|>', chat_template: [{ name: 'tool_use', template: 'T' }] })
    )
    const { status, stdout, stderr } = verit('chat-hf', 'chat.gguf', '--head', 'f32', '--end-token', 'a')
    assert.equal(status, 0, stderr)
    assert.match(stdout, /Note: the embedding has 512 rows and the tokenizer 500 tokens: 12 unused tokens/)
    for (const line of [
      'chat template  60 characters (chat_template.jinja)',
      '<|eot_id|> (2, generation_config.json eos_token_id)',
      'put before each prompt (tokenizer.json post_processor)',
      'template tool_use'
    ]) {
      assert.ok(stdout.includes(line), `${line} in ${stdout}`)
    }
    using file = openGguf(join(folder, 'chat.gguf'))
    const { metadata: m } = file
    const id = (role: string): number => m.uint(`tokenizer.ggml.${role}_token_id`)
    assert.deepEqual([id('bos'), id('eos'), id('eot'), m.bool('tokenizer.ggml.add_bos_token')], [1, 0, 2, true])
    assert.deepEqual(m.ints('verit.end_token_ids'), [259, tokenizer.tokenId('a')])
    assert.deepEqual(
      [m.string('tokenizer.chat_template').slice(0, 6), m.string('tokenizer.chat_template.tool_use')],
      ['{% for', 'T']
    )
    assert.deepEqual(
      [
        m.strings('tokenizer.ggml.tokens').length,
        m.strings('tokenizer.ggml.tokens')[500],
        m.ints('tokenizer.ggml.token_type').slice(499, 502)
      ],
      [512, '[PAD500]', [1, 5, 5]]
    )
    const other = verit('chat.gguf', 'other.gguf', '--chat-template', 'chat-hf/chat_template.jinja', '--json')
    const { conversation } = JSON.parse(other.stdout) as {
      conversation: { template: { source: string }; begin: { id: number }; ends: { id: number }[] }
    }
    assert.deepEqual(
      [conversation.template.source, conversation.begin.id, conversation.ends.map(t => t.id)],
      ['chat-hf/chat_template.jinja', 1, [0, 2, 259, tokenizer.tokenId('a')]]
    )
    for (const [text, problem] of [
      ['{% if %}', 'cannot be read: .*'],
      ['{{ messages', 'cannot be read: .*'],
      ['x'.repeat(70_000), 'has 70000 bytes, .*'],
      ["{{ raise_exception('no') }}", 'fails on a short conversation: .*no']
    ] as const) {
      writeFileSync(join(folder, 'bad.jinja'), text)
      const { status, stderr } = verit('chat.gguf', 'unmade.gguf', '--chat-template', 'bad.jinja')
      assert.match(
        `${status} ${stderr}`,
        new RegExp(`^2 verit: The chat template bad\\.jinja ${problem}\\. Give a Jinja .*\\[VERIT_CHAT\\]\n$`)
      )
      assert.ok(!existsSync(join(folder, 'unmade.gguf')), text.slice(0, 20))
    }
  }
)

test(
  'Ctrl-C, or a request to end, leaves nothing of the file, and the status says which',
  { skip: process.platform === 'win32' && 'no such signals' },
  async () => {
    // Q6_K looks for the best scales, so that this takes seconds.
    writeRandomPacked(
      join(folder, 'long.gguf'),
      parseModelConfig({
        kind: 'bitnet',
        layers: 1,
        hidden: 256,
        heads: 2,
        ffn: 256,
        context: 16,
        vocab: 1 << 16
      }) as BitnetConfig
    )
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGQUIT', 131]
    ] as const) {
      const target = join(folder, signal)
      mkdirSync(target)
      const child = spawn(
        process.execPath,
        [MAIN, 'convert', 'long.gguf', join(target, 'out.gguf'), '--head', 'q6_k'],
        { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] }
      )
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
      const ended = once(child, 'close') as Promise<[number | null]>
      while (readdirSync(target).length === 0 && child.exitCode === null)
        await new Promise(resolve => setTimeout(resolve, 10))
      assert.match(readdirSync(target).join(), /^\.verit-\d+-[0-9a-f]{16}\.tmp$/)
      child.kill(signal)
      child.kill(signal) // as under npm
      assert.deepEqual([(await ended)[0], readdirSync(target)], [status, []], stderr)
      assert.match(
        stderr,
        /Interrupted; nothing was written\. Run the same command again to start over\. \[VERIT_INTERRUPTED\]\n$/
      )
    }
  }
)

test('weights of PyTorch are read: a checkpoint of nanoGPT with the tokenizer beside it', () => {
  const torch = fileURLToPath(new URL('../../test/fixtures/torch/nanogpt.pt', import.meta.url))
  const path = join(folder, 'nano')
  mkdirSync(path)
  cpSync(torch, join(path, 'ckpt.pt'))
  const bare = verit('nano/ckpt.pt', 'nano.gguf')
  assert.equal(bare.status, 2)
  assert.match(bare.stderr, /has no tokenizer\.json and no tokenizer\.model\. Name one.*--tokenizer/)
  writeFileSync(join(path, 'tokenizer.json'), byteTokenizer(257).toJSON())
  const { stdout, stderr } = verit('nano/ckpt.pt', 'nano.gguf')
  assert.deepEqual([stderr, stdout.split('\n')[1]], ['', 'No precision was lost.'])
  writeFileSync(join(path, 'config.json'), '{}')
  const hostile = join(path, 'pytorch_model.bin')
  writeFileSync(hostile, 'cos\nsystem\n(S"touch hacked"\ntR.')
  assert.match(verit('nano', 'x.gguf').stderr, /pytorch_model\.bin cannot be used as weights of PyTorch/)
  assert.ok(!existsSync(join(folder, 'hacked')))
})

test('a folder is written for transformers or ONNX, and never over the model itself', async () => {
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 32, heads: 2, context: 16, vocab: 257 })
  await writeRandomModel(join(folder, 'small.gguf'), referenceExecutor(), config)
  assert.match(verit('small.gguf', 'small-hf', '--to', 'hf').stdout, /^small-hf: gpt2, 16 tensors, .*, F32\nFiles: /)
  assert.match(verit('small.gguf', 'small-onnx', '--to', 'onnx').stdout, /^small-onnx: ONNX, operator set 17, /)
  assert.match(
    verit('small-hf', 'back.gguf', '--type', 'q8_0', '--errors').stdout,
    /token_embd\.weight +F32 to Q8_0 +0\.\d+ %/
  )
  assert.match(verit('small-hf', 'small-hf', '--to', 'hf', '--force').stderr, /small-hf is the model itself/)
  cpSync(join(folder, 'small.gguf'), join(folder, 'small-hf', 'own.gguf'))
  assert.match(verit('small-hf/own.gguf', 'small-hf', '--to', 'hf', '--force').stderr, /small-hf holds the model/)
  assert.ok(existsSync(join(folder, 'small-hf', 'own.gguf')))
  for (const [args, words] of [
    [['x', '--to', 'hf', '--head', 'f16'], /--head is for GGUF files/],
    [['x', '--to', 'hf', '--type', 'q4_0'], /no weights of type q4_0/],
    [['x', '--to', 'onnx', '--type', 'f16'], /as f32/],
    [['x.gguf', '--to', 'hf'], /--to hf writes a folder/]
  ] as const)
    assert.match(verit('small.gguf', ...args).stderr, words)
})
