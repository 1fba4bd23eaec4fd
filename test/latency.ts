/**
 * How long a client waits for one token while others send the largest bodies that the gateway takes: servers with one
 * tokenizer of each kind, the bodies that are the most work for them, and the clock of the client that waits.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeRandomModel } from '../src/bench/random-model.ts'
import { referenceExecutor } from '../src/exec/reference.ts'
import { parseGguf } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { worstTexts } from './tokenizers.ts'
import type { TestTokenizer } from './tokenizers.ts'

/** Milliseconds that a client may wait for one token, on a machine that has nothing else to do. */
const CEILING_MS = 250

/**
 * Milliseconds that a client may wait for one token now: as many times more as a program that computes gets less than
 * one processor, because the machine is busy with other programs. VERIT_TEST_CEILING_MS, where it is set.
 */
export function ceiling(): number {
  const began = performance.now()
  const before = process.cpuUsage()
  for (;;) {
    const { user, system } = process.cpuUsage(before)
    const computed = (user + system) / 1000
    if (computed >= 40)
      return Number(
        process.env['VERIT_TEST_CEILING_MS'] ?? CEILING_MS * Math.max(1, (performance.now() - began) / computed)
      )
  }
}

/** Default of `http.body_bytes`. */
const BODY_BYTES = 1 << 20

const TEMPLATE =
  `{% for message in messages %}{{ '<|user|>' + message['role'] + '\\n' + message['content'] | ` +
  `trim + '\\n' }}{% endfor %}`

/**
 * Writes DIR/NAME.gguf: a model of random weights with this tokenizer. @param context positions; default 8192, so that
 * a body of 1 MiB could fit
 */
export async function modelWith(
  dir: string,
  name: string,
  { tokenizer, entries }: TestTokenizer,
  context = 8192
): Promise<string> {
  const path = join(dir, `${name}.gguf`)
  await writeRandomModel(
    path,
    referenceExecutor(),
    parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context, vocab: tokenizer.vocabSize })
  )
  const file = parseGguf(readFileSync(path))
  const metadata = [...file.metadata.entries].filter(([key]) => !key.startsWith('tokenizer.'))
  const own = [...entries, ['tokenizer.chat_template', gguf.string(TEMPLATE)] as const]
  writeGguf(path, {
    metadata: [...metadata, ...own],
    tensors: file.tensors.map(({ name: n, type, shape }) => ({ name: n, type, shape, data: file.readTensor(n) }))
  })
  return path
}

export interface Load {
  readonly name: string
  readonly path: '/v1/completions' | '/v1/chat/completions'
  readonly body: string
}

/**
 * The largest bodies of each route: texts, conversations of one message and of many, token ids. Others can be added as
 * rows.
 * @param wanted by name. Default: all
 */
export function largestLoads(wanted: (name: string) => boolean = () => true): Load[] {
  const loads: Load[] = []
  const add = (name: string, path: Load['path'], body: () => string): void =>
    void (wanted(name) && loads.push({ name, path, body: body() }))
  const chat = (messages: readonly object[]): string => JSON.stringify({ messages, max_tokens: 1 })
  for (const [name, text] of worstTexts(BODY_BYTES)) {
    const prompt = (): string => shortened(text, BODY_BYTES - 100)
    add(`text: ${name}`, '/v1/completions', () => JSON.stringify({ prompt: prompt(), max_tokens: 1 }))
    add(`chat: ${name}`, '/v1/chat/completions', () => chat([{ role: 'user', content: prompt() }]))
  }
  // The character that marks what messages say is the last that is tried: all the others are there, behind all the
  // text.
  const marks = String.fromCharCode(...Array.from({ length: 6399 }, (_, i) => 0xf8fe - i))
  const filler = Math.floor((BODY_BYTES - 200 - 3 * marks.length) / 3)
  add('chat: every mark but one', '/v1/chat/completions', () =>
    chat([{ role: 'user', content: '\uf8f7'.repeat(filler) + marks }])
  )
  const message = { role: 'user', content: 'x'.repeat(BODY_BYTES / 1024 - 40) }
  add('chat: 1,024 messages', '/v1/chat/completions', () => chat(Array(1024).fill(message)))
  for (const id of ['0', '1e9', '300']) {
    add(
      `ids: ${id}`,
      '/v1/completions',
      () => `{"max_tokens":1,"prompt":[${`${id},`.repeat(Math.floor((BODY_BYTES - 100) / (id.length + 1)))}0]}`
    )
  }
  return loads
}

/** As much of a text as has so many bytes in JSON. */
function shortened(text: string, bytes: number): string {
  for (let part = text; ;) {
    const size = Buffer.byteLength(JSON.stringify(part))
    if (size <= bytes) return part.toWellFormed()
    part = part.slice(0, Math.min(part.length - 1, Math.floor((part.length * bytes) / size)))
  }
}

export interface Waits {
  /** Milliseconds that each request of the other client took, in order of length. */
  readonly times: number[]
  /** Status of each load. */
  readonly statuses: number[]
  /** Milliseconds until the last load was answered. */
  readonly loadMs: number
  /** Milliseconds that were allowed, as the machine was before and after. */
  readonly allowed: number
}

async function post(url: string, key: string, body: string): Promise<number> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body
  })
  await response.arrayBuffer()
  return response.status
}

/** Milliseconds until a client has its one token. */
async function oneToken(url: string, key: string): Promise<number> {
  const sent = performance.now()
  for (;;) {
    const status = await post(`${url}/v1/completions`, key, '{"prompt":[1],"max_tokens":1}')
    if (status === 200) return performance.now() - sent
    // on a busy machine, its own headers may be late
    if (status !== 408) throw new Error(`a request for one token is answered ${status}`)
  }
}

/** Sends a body several times at once and measures another key's requests for one token until all are answered. */
export async function waitsDuring(
  url: string,
  load: Load,
  keys: { loading: string; other: string },
  atOnce = 1
): Promise<Waits> {
  const before = ceiling()
  const times: number[] = []
  const began = performance.now()
  let loadMs = 0
  const all = Promise.all(Array.from({ length: atOnce }, () => post(url + load.path, keys.loading, load.body))).finally(
    () => void (loadMs = performance.now() - began)
  )
  do times.push(await oneToken(url, keys.other))
  while (loadMs === 0)
  return { times: times.sort((a, b) => a - b), statuses: await all, loadMs, allowed: Math.max(before, ceiling()) }
}
