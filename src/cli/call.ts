/** `verit call`: one request to a server, signed with a key file; answers are printed as they arrive. */
import { existsSync, readFileSync } from 'node:fs'
import { Command } from 'commander'
import { errorOf } from '../client/clock-skew.ts'
import { readWhole } from '../client/read-body.ts'
import { serverEvents } from '../client/server-events.ts'
import { veritFetch } from '../client/verit-fetch.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { secretSetting } from '../lib/secret-setting.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { forTerminal } from './for-terminal.ts'
import { readStandardText } from './standard-text.ts'

/** Maximum bytes of an unpacked answer in memory, for errors and answers that are not streams. */
const MOST_BYTES = 64 << 20
const MOST_ERROR_BYTES = 1 << 20
const MOST_KEY_BYTES = 16_384

interface Flags {
  data?: string
  prompt?: string
  keyFile?: string
  serverKey?: string
  url?: string
  socket?: string
  json?: true
  include?: true
}

interface Call {
  method: string
  url: URL
  body: string | undefined
}

export function command(): Command {
  return new Command('call')
    .summary('send a request to a server, signed if you like')
    .description(
      'Sends one request to a server and prints the answer; streams as they arrive. With --key-file the request ' +
        'is signed (docs/reference/request-signing.md). Otherwise the key comes from VERIT_API_KEY, or from the ' +
        'file that VERIT_API_KEY_FILE names.'
    )
    .argument('[method]', 'HTTP method (default: GET, or POST with --data)')
    .argument('[path]', 'path such as /v1/models, or a whole URL')
    .option('--data <json>', 'request body: JSON, @file, or - for standard input')
    .option(
      '-p, --prompt <text>',
      'send one chat message and print the text of the answer as it arrives; - for standard input'
    )
    .option('--key-file <file>', 'sign the request with this key')
    .option('--server-key <key>', 'public key of the server, or a file with it: refuse answers without its signature')
    .option(
      '--url <url>',
      'base URL of the server (default: "http://127.0.0.1:8081", or with --socket "http://localhost")'
    )
    .option('--socket <path>', 'Unix socket of the server')
    .option('--json', 'print the JSON of the answer or error on one line')
    .option('--include', 'print status and headers first')
    .addHelpText(
      'after',
      `
Examples:
  verit call /v1/models --key-file laptop.json
  verit call --prompt "What is a union?" --key-file laptop.json
  verit call /v1/completions --data '{"prompt": "The union", "stream": true}'
  verit call --socket /run/verit/verit.sock /v1/models --key-file laptop.json
  verit call POST https://verit.example/v1/chat/completions --data @request.json --server-key server.pem --json`
    )
    .action(run)
}

async function run(first: string | undefined, second: string | undefined, flags: Flags): Promise<void> {
  const call = callOf(first, second, flags)
  const response = await send(call, flags)
  if (flags.include) {
    process.stdout.write(`${response.status} ${printable(response.statusText)}\n`)
    for (const [name, value] of response.headers) process.stdout.write(`${name}: ${printable(value)}\n`)
    process.stdout.write('\n')
  }
  if (!response.ok) await fail(response, flags)
  else if (flags.json) process.stdout.write(oneLine(await wholeText(response, MOST_BYTES)))
  else if (flags.prompt !== undefined) await printText(response)
  else await printBody(response)
}

function usage(problem: string, hint: string): never {
  throw new VeritError('VERIT_USAGE', { problem, hint })
}

function callOf(
  first: string | undefined,
  second: string | undefined,
  { data, prompt, socket, json, ...flags }: Flags
): Call {
  const url = flags.url ?? (socket === undefined ? 'http://127.0.0.1:8081' : 'http://localhost')
  if (prompt !== undefined) {
    if (first !== undefined || data !== undefined)
      usage('--prompt makes its own request', 'Leave out the path and --data, or --prompt')
    const messages = [{ role: 'user', content: prompt === '-' ? readText(0, 'standard input') : prompt }]
    return {
      method: 'POST',
      url: new URL('/v1/chat/completions', base(url)),
      body: JSON.stringify({ messages, stream: json !== true })
    }
  }
  const path = second ?? first ?? usage('There is no address to call', 'Give a path: verit call /v1/models')
  const method = second === undefined ? (data === undefined ? 'GET' : 'POST') : first!.toUpperCase()
  if (!/^[A-Z]+$/.test(method))
    usage(`${printable(method, 40)} is not a method`, 'Give it before the path: verit call GET /v1/models')
  const absolute = /^https?:\/\//i.test(path)
  if (!absolute && !/^\/(?!\/)/.test(path)) {
    usage(`${printable(path, 80)} is neither a path nor a URL`, 'Begin it with one slash, or with http:// or https://')
  }
  const body =
    data === '-'
      ? readText(0, 'standard input')
      : data?.startsWith('@') === true
        ? readText(data.slice(1), data.slice(1))
        : data
  return { method, url: absolute ? base(path) : new URL(path, base(url)), body }
}

function base(text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    usage(`${printable(text, 80)} is not an http or https address`, 'Give one like http://127.0.0.1:8081')
  }
  if (url.username !== '' || url.password !== '')
    usage('A URL is no place for a password', 'Put the key into VERIT_API_KEY, or use --key-file')
  return url
}

function readText(from: string | 0, name: string): string {
  if (from === 0 && process.stdin.isTTY) usage('Nothing is piped in', 'Pipe the text in: echo ... | verit call')
  try {
    return from === 0 ? readStandardText() : readFileSync(from, 'utf8')
  } catch (e) {
    throw VeritError.is(e) ? e : fileError(e, name, 'read', 'the body to send')
  }
}

/** Whoever can write this file decides which server is trusted. */
const serverKeyFile = (path: string): string => {
  const bytes = readTrusted(path, { kind: 'decides', purpose: 'the public key of the server', limit: MOST_KEY_BYTES })
  return bytes.toString('utf8')
}

async function send({ method, url, body }: Call, { keyFile, serverKey, socket }: Flags): Promise<Response> {
  const secret = keyFile === undefined ? secretSetting('VERIT_API_KEY') : undefined
  if (
    secret !== undefined &&
    socket === undefined &&
    url.protocol === 'http:' &&
    !/^(127(\.\d+){3}|localhost|\[::1\])$/.test(url.hostname)
  ) {
    process.stderr.write(
      'verit: the key goes over the network unencrypted; use https, or sign requests with --key-file\n'
    )
  }
  const key = serverKey !== undefined && existsSync(serverKey) ? serverKeyFile(serverKey) : serverKey
  const request = veritFetch(defined({ keyFile, serverKey: key, url: url.origin, socket }))
  const headers = defined({
    'content-type': body === undefined ? undefined : 'application/json',
    authorization: secret === undefined ? undefined : `Bearer ${secret}`
  })
  try {
    return await request(url, { method, headers, body: body ?? null })
  } catch (e) {
    if (!(e instanceof TypeError)) throw e
    const cause = e.cause instanceof Error ? e.cause : e
    const code = (cause as NodeJS.ErrnoException).code
    const reason =
      cause.message === 'unexpected redirect'
        ? 'it answers with a redirect, which is not followed'
        : (code ?? cause.message)
    throw new VeritError('VERIT_CONNECT', { url: socket ?? url.origin, reason }, e)
  }
}

/** @throws VeritError VERIT_ANSWER for one that is longer: a hostile server's may never end */
async function wholeText(response: Response, limit: number): Promise<string> {
  const bytes = await readWhole(response.body, limit)
  if (bytes === undefined)
    throw new VeritError('VERIT_ANSWER', {
      problem: `its body has more than ${limit} bytes (status ${response.status})`
    })
  return new TextDecoder().decode(bytes)
}

const oneLine = (text: string): string => {
  try {
    return `${printableJson(JSON.parse(text))}\n`
  } catch {
    return usage('The answer is not JSON', 'Leave out --json')
  }
}

async function fail(response: Response, flags: Flags): Promise<never> {
  const text = await wholeText(response, MOST_ERROR_BYTES)
  const error = errorOf(text)
  if (flags.json && error !== undefined) process.stdout.write(oneLine(text))
  throw new VeritError('VERIT_CALL', {
    status: response.status,
    problem: said(error?.message ?? (response.statusText || 'nothing more'))
  })
}

/** Text from the server, made safe for a sentence and a terminal. */
const said = (message: string): string => printable(message, 1000).replace(/[.\s]+$/, '')

async function printBody(response: Response): Promise<void> {
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    if (process.stdout.isTTY) process.stdout.write(forTerminal(decoder.decode(chunk, { stream: true })))
    else process.stdout.write(chunk)
  }
  if (process.stdout.isTTY) process.stdout.write('\n')
}

async function printText(response: Response): Promise<void> {
  let done = false
  for await (const data of serverEvents(response.body ?? new Blob([]).stream())) {
    if (data === '[DONE]') done = true
    const error = errorOf(data)
    if (error !== undefined)
      throw new VeritError('VERIT_CALL', { status: response.status, problem: said(error.message) })
    const text = done ? '' : textOf(data)
    process.stdout.write(forTerminal(text))
  }
  process.stdout.write('\n')
  if (!done) throw new VeritError('VERIT_ANSWER', { problem: 'the stream ended before the answer was complete' })
}

function textOf(data: string): string {
  try {
    const text: unknown = (JSON.parse(data) as { choices: { delta: { content?: unknown } }[] }).choices[0]?.delta
      .content
    return typeof text === 'string' ? text : ''
  } catch (e) {
    throw new VeritError('VERIT_ANSWER', { problem: 'an event of the stream is not a part of a chat answer' }, e)
  }
}
