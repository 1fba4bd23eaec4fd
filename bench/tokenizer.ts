/**
 * How fast the tokenizer of a model or vocabulary encodes a text on one thread: MB of UTF-8 a second of wall and of
 * processor time, the first pass and the median of four more. On a busy machine only the second is worth anything.
 *
 *     node bench/tokenizer.ts MODEL.gguf TEXT...
 */
import { readFileSync } from 'node:fs'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { readTokenizer } from '../src/model/gguf-tokenizer.ts'

const [model, ...texts] = process.argv.slice(2)
if (model === undefined || texts.length === 0) throw new Error('usage: node bench/tokenizer.ts MODEL.gguf TEXT...')
using file = openGguf(model)
const began = performance.now()
const tokenizer = readTokenizer(file.name, file.metadata)
process.stdout.write(`${model}: ${tokenizer.vocabSize} tokens, made in ${(performance.now() - began).toFixed(0)} ms\n`)

for (const path of texts) {
  const text = readFileSync(path, 'utf8')
  const bytes = Buffer.byteLength(text)
  const passes = Array.from({ length: 5 }, () => {
    const cpu = process.cpuUsage()
    const start = performance.now()
    const tokens = tokenizer.encode(text).length
    const { user, system } = process.cpuUsage(cpu)
    return { wall: bytes / (performance.now() - start) / 1000, cpu: bytes / (user + system), tokens }
  })
  const median = (of: (p: (typeof passes)[number]) => number): string =>
    passes
      .slice(1)
      .map(of)
      .sort((a, b) => a - b)[1]!
      .toFixed(1)
  process.stdout.write(
    `${path}: ${bytes} bytes, ${passes[0]!.tokens} tokens; first pass ${passes[0]!.cpu.toFixed(1)} MB/s of ` +
      `processor time (${passes[0]!.wall.toFixed(1)} wall), ` +
      `then ${median(p => p.cpu)} (${median(p => p.wall)})\n`
  )
}
