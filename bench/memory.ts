/**
 * What memory a runner takes (Linux): `node bench/memory.ts MODEL.gguf [auto|off] [threads]`, `auto` and `off` being
 * the screen of its head. Resident memory when it is ready, after a short request, after one of 512 and 128 tokens, and
 * after three more, in MB and relative to the file: all of it; what is its own (private, anonymous); and pages of Node
 * and of libraries, which the gateway shares.
 */
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { RunnerProcess } from '../src/runner/runner-process.ts'
import { digestFile } from '../src/trust/digest.ts'

const [path, screen = 'auto', threads = '2'] = process.argv.slice(2)
if (path === undefined) throw new Error('usage: node bench/memory.ts MODEL.gguf [auto|off] [threads]')
const { size } = statSync(path)
const fd = openSync(path, 'r')
const runner = new RunnerProcess({
  fd,
  name: path,
  threads: Number(threads),
  ...(screen === 'off' && { headScreen: false })
})

function show(when: string): void {
  const status = readFileSync(`/proc/${runner.pid}/status`, 'utf8')
  const bytes = (field: string): number => 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
  const column = (n: number): string => `${(n / 1e6).toFixed(0).padStart(7)} MB ${(n / size).toFixed(3)}`
  process.stdout.write(
    `${when.padEnd(24)}${column(bytes('VmRSS'))}, its own${column(bytes('RssAnon'))}, of ` +
      `files${column(bytes('RssFile'))}\n`
  )
}

async function ask(prompt: number, answer: number): Promise<void> {
  const tokens = Array.from({ length: prompt }, (_, i) => (i * 7919) % vocabSize)
  for await (const _ of runner.generate({ tokens }, { maxTokens: answer, ignoreEndOfText: true, seed: 1 }));
}

const { vocabSize, context } = await runner.load(await digestFile(path))
show('ready')
await ask(5, 4)
show('after 5 + 4 tokens')
const prompt = Math.min(512, context >> 1)
const answer = Math.min(128, context >> 2)
await ask(prompt, answer)
show(`after ${prompt} + ${answer}`)
for (let i = 0; i < 3; i++) await ask(prompt, answer)
show('after three more')
await runner.close()
closeSync(fd)
