/**
 * Class C: attacks through the chat template of a model's file, and on it through the texts of a conversation. A
 * template is rendered as in the runner: in bounded time, text and memory; a fault of it is one error of this
 * conversation.
 */
// long: templates run until they are stopped
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { ChatFormat } from '../../src/engine/chat-format.ts'
import { ChatTemplate } from '../../src/engine/chat-template.ts'
import { loadModel } from '../../src/engine/load.ts'
import { byteTokenizer, writeRandomModel } from '../../src/bench/random-model.ts'
import { referenceExecutor } from '../../src/exec/reference.ts'
import { gguf } from '../../src/formats/gguf-value.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { parseModelConfig } from '../../src/model/config.ts'
import { killServers } from '../served.ts'
import { Target, codeOf } from './target.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-class-c-'))
after(() => rmSync(dir, { recursive: true }))
const tokenizer = byteTokenizer(260, ['<|im_start|>', '<|im_end|>', '<|user|>'])
const messages = [{ role: 'user' as const, content: 'hi' }]

/** The text, or undefined for a template that is refused; anything but these two is thrown. */
function render(template: string, limit = 2000): string | undefined {
  try {
    return new ChatTemplate(template, limit).render({ messages, bos_token: '', eos_token: '' })
  } catch (e) {
    if (VeritError.is(e, 'VERIT_CHAT')) return undefined
    throw e
  }
}

test('C1 walks from values to constructors and prototypes end in nothing or an error, and pollute nothing', () => {
  const names = [
    'constructor',
    '__proto__',
    'prototype',
    '__class__',
    '__globals__',
    'caller',
    '__defineGetter__',
    'valueOf',
    'call'
  ]
  const roots = ['messages', 'messages[0].content', '1', 'none', 'range', 'namespace(a=1)', 'nothing', '{"a": 1}']
  for (const root of roots) {
    for (const name of names) {
      const text = render(`{{ ${root}['${name.slice(0, 4)}' ~ '${name.slice(4)}'] }}`)
      assert.ok(text === undefined || !/native code|\[object|function|=>/.test(text), `${root}.${name} gives ${text}`)
    }
    for (const more of [
      ".constructor('return process')()",
      ".constructor.constructor('return process')()",
      '.__proto__.__proto__',
      "['__proto__']['constructor']('return 1')()"
    ]) {
      assert.ok([undefined, '', 'undefined'].includes(render(`{{ ${root}${more} }}`)), root + more)
    }
  }
  render(
    '{% set x = namespace() %}{% set x.__proto__ = 1 %}{% set x.constructor = 2 %}{% set __proto__ = {"polluted": 1} %}'
  )
  render('{% set x = {"__proto__": {"polluted": 1}} %}{{ x.polluted }}')
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  for (const name of [
    'process',
    'require',
    'globalThis',
    'eval',
    'Function',
    'fetch',
    'module',
    'self',
    'cycler',
    'lipsum',
    'open'
  ]) {
    assert.ok([undefined, '', 'undefined'].includes(render(`{{ ${name} }}`)), name)
    assert.equal(render(`{{ ${name}() }}`), undefined)
  }
})

test('C2 loops without end, and ranges of 10^9, end when their time or number is up', () => {
  for (const range of [
    'range(1000000000)',
    'range(0, 1000000000, 1)',
    'range(0, 10, 0)',
    'range(0, 1, 0.0000001)',
    'range(-1000000000, 0)'
  ]) {
    assert.equal(render(`{% for i in ${range} %}x{% endfor %}`), undefined, range)
  }
  assert.equal(render('{% for a in range(4096) %}'.repeat(4) + '{% endfor %}'.repeat(4), 50), undefined)
  assert.equal(
    render(
      '{% macro m() %}{% for a in range(4096) %}{% for b in range(4096) %}{{ a * b }}{% endfor %}{% endfor %}{% ' +
        'endmacro %}{{ m() }}{{ m() }}',
      50
    ),
    undefined
  )
})

test('C3 a template that multiplies text or lists is stopped before it has made much', async () => {
  const double = (start: string, what: string, times: number): string =>
    `{% set ns = namespace(x=${start}) %}${`{% set ns.x = ns.x ${what} ns.x %}`.repeat(times)}`
  const bombs = [
    `${double("'aaaaaaaa'", '~', 26)}{{ ns.x | upper | length }}`,
    `${double('[1, 2]', '+', 26)}{{ ns.x | length }}`,
    `${double("'aaaaaaaa'", '~', 16)}{% set l = namespace(x=[]) %}{% for i in range(4000) %}{% set l.x = l.x + ` +
      '[ns.x | upper] %}{% endfor %}',
    '{{ messages | tojson(indent=4000000000) }}{{ "a\nb" | indent(1000000000) }}'
  ]
  // Each in a process of its own, for the collector's mood would be measured otherwise.
  const script = `
    import { ChatTemplate } from ${JSON.stringify(new URL('../../src/engine/chat-template.ts', import.meta.url).href)}
    const before = process.memoryUsage.rss()
    let code = 'none'
    try { new ChatTemplate(process.env.TEMPLATE).render({ messages: [{ role: 'user', content: 'hi' }] }) } catch (e) { code = e.code }
    console.log(code, Math.round((process.resourceUsage().maxRSS * 1024 - before) / 1e6))`
  await Promise.all(
    bombs.map(async bomb => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
        env: { ...process.env, TEMPLATE: bomb }
      })
      const [code, megabytes] = stdout.trim().split(' ')
      assert.equal(code, 'VERIT_CHAT', bomb.slice(-80))
      assert.ok(Number(megabytes) < 400, `${megabytes} MB for ${bomb.slice(-80)}`)
    })
  )
})

test('C4 nesting of any kind, as deep as the source can be, is refused or rendered', () => {
  for (const [open, close] of [
    ['{% if true %}', '{% endif %}'],
    ['{% for i in [1] %}', '{% endfor %}']
  ] as const) {
    render(open.repeat(2000) + close.repeat(2000))
    assert.equal(render(open.repeat(2000)), undefined)
  }
  for (const [open, close] of [
    ['[', ']'],
    ['(', ')'],
    ['{"a":', '}'],
    ['not ', ''],
    ['-', ''],
    ['x.', 'x'],
    ['x[', ']'],
    ['1 if ', ''],
    ['x | ', 'x'],
    ['1 + ', '1']
  ] as const) {
    for (const times of [100, 60_000])
      render(`{{ ${open.repeat(times / open.length)}1${close.repeat(times / open.length)} }}`)
  }
})

test('C5 macros that call themselves or one another end in an error', () => {
  assert.equal(render('{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}'), undefined)
  assert.equal(render('{% macro a(f, x) %}{{ f(f, x) }}{% endmacro %}{{ a(a, 1) }}'), undefined)
  assert.equal(
    render('{% macro a(f, g) %}{{ f(g, f) }}{% endmacro %}{% macro b(f, g) %}{{ f(g, f) }}{% endmacro %}{{ a(b, a) }}'),
    undefined
  )
})

test('C6 a request cannot bring a template, C7 nor template variables: both are refused by name', async () => {
  const target = await Target.start()
  try {
    for (const field of [
      { chat_template: '{{ 1 }}' },
      { template: '{{ 1 }}' },
      { chat_template_kwargs: { add_generation_prompt: false } },
      { chat_template_kwargs: { messages: [] } },
      { chat_template_kwargs: { enable_thinking: true } },
      { add_generation_prompt: false },
      { continue_final_message: true },
      { bos_token: 'x' },
      { documents: [{}] },
      { template_kwargs: { messages: [] } },
      { chat_template_args: {} },
      { add_special_tokens: false }
    ]) {
      const response = await target.fetch('/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages, max_tokens: 1, ...field })
      })
      assert.deepEqual([response.status, await codeOf(response)], [400, 'VERIT_REQUEST'], JSON.stringify(field))
    }
    await target.survives()
  } finally {
    setTimeout(killServers, 5000).unref()
    await target.stop()
  }
})

test("C7 the names that a template is given are the server's: a message or a role cannot stand in for them", () => {
  const format = new ChatFormat('{{ messages | length }}{{ add_generation_prompt }}{{ bos_token }}', tokenizer)
  const extra = { ...messages[0]!, add_generation_prompt: false, bos_token: 'x', messages: [] }
  assert.equal(tokenizer.decode(format.prompt([extra])), '1true<|endoftext|>')
  assert.throws(() => format.prompt([{ role: 'add_generation_prompt' as 'user', content: '' }]), { code: 'VERIT_CHAT' })
})

test('C8 text of a message never becomes a special token, whatever the template does with it', () => {
  const specials = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|user|>']
  const templates = [
    undefined,
    '{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}',
    '{{ messages[0].content | trim | upper | lower }}',
    '{{ messages[0].content.replace("x", "") }}',
    '{{ messages[0].content.split("x") | join("") }}',
    '{{ messages | tojson }}',
    '{{ "<|im_" }}{{ messages[0].content }}',
    '{{ messages[0].content[0:40] }}',
    '{% set ns = namespace(t="") %}{% for m in messages %}{% set ns.t = ns.t ~ m.content %}{% endfor %}{{ ns.t }}'
  ]
  for (const template of templates) {
    const format = new ChatFormat(template, tokenizer)
    const count = (content: string): number =>
      format
        .prompt([
          { role: 'user', content },
          { role: 'assistant', content }
        ])
        .filter(id => tokenizer.isSpecial(id)).length
    const plain = count('hello')
    for (const s of specials)
      for (const text of [s, ` ${s} `, s.replace('im', 'xim'), `x${s}x`, s.slice(0, 5), s.slice(5), s + s])
        assert.equal(count(text), plain, `${template}: ${text}`)
  }
})

test(
  "C9 a model with another template is another model: its digest, in every answer's fingerprint and in the " +
    'audit log, changes with one character',
  async () => {
    const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 32, vocab: 260 })
    const digests: string[] = []
    for (const text of ['{{ messages[0].content }}', '{{ messages[0].content }} ']) {
      const path = join(dir, 'm.gguf')
      await writeRandomModel(path, referenceExecutor(), config, {
        entries: [['tokenizer.chat_template', gguf.string(text)]]
      })
      await using engine = await loadModel(path, { instructionSet: 'reference' })
      digests.push(engine.info.digest)
    }
    assert.equal(new Set(digests).size, 2)
  }
)
