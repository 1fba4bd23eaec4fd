/**
 * Loads a file of each architecture with each hostile hyperparameter, in a process of its own so that its peak of
 * memory can be told. Writes JSON: how many files were refused, what went wrong, and by how many bytes the peak grew.
 * `node test/refuse-hyperparameters.ts EVERY`: takes every EVERY-th value only.
 */
import { kinds } from '../src/arch/registry.ts'
import { openExecutor } from '../src/exec/index.ts'
import { parseGguf } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import type { GgufValue } from '../src/formats/gguf-value.ts'
import { VeritError } from '../src/lib/errors.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { hostileEpsilon, hostileRows } from './hostile-hyperparameters.ts'
import { changedModel, smallModel } from './small-models.ts'

const every = Number(process.argv[2] ?? 1)
const executor = openExecutor({ threads: 1 })
const taken = { bytes: 0 }
const watched = {
  ...executor,
  allocate: (bytes: number, sparse?: boolean) => {
    taken.bytes += bytes
    return executor.allocate(bytes, sparse)
  }
}
const peak = (): number => process.resourceUsage().maxRSS * 1024
const problems: string[] = []
const show = (v: GgufValue): string =>
  `${v.type} ${typeof v.value === 'object' ? JSON.stringify(v.value) : String(v.value)}`

async function load(bytes: Buffer, what: string, keys: readonly string[]): Promise<boolean> {
  taken.bytes = 0
  try {
    await loadModel(parseGguf(bytes, 'x.gguf'), watched)
    problems.push(`${what} is accepted`)
  } catch (e) {
    const named = VeritError.is(e) && (keys.some(key => e.message.includes(`.${key} `)) || /tensor \S+/.test(e.message))
    if (!named || (VeritError.is(e) && e.code === 'VERIT_INTERNAL')) problems.push(`${what}: ${String(e)}`)
    else if (taken.bytes > 0) problems.push(`${what}: took ${taken.bytes} bytes first`)
    else return true
  }
  return false
}

const models = new Map<string, Buffer>()
for (const kind of kinds) models.set(kind, await smallModel(kind))
for (const bytes of models.values()) await loadModel(parseGguf(bytes), executor)
await load(
  changedModel(models.get('gpt')!, p => void p.metadata.set('gpt2.block_count', gguf.u32(0))),
  '',
  ['block_count']
)
const before = peak()
let refused = 0
let count = 0
for (const [kind, bytes] of models) {
  const prefix = parseGguf(bytes).metadata.string('general.architecture')
  for (const { key, values, of = () => true, partners = [] } of [...hostileRows, hostileEpsilon(kind)]) {
    if (!of(kind)) continue
    for (const value of values) {
      if (count++ % every !== 0) continue
      const hostile = changedModel(bytes, p => void p.metadata.set(`${prefix}.${key}`, value))
      if (await load(hostile, `${kind}: ${key} ${show(value)}`, [key, ...partners])) refused++
    }
  }
}
process.stdout.write(JSON.stringify({ refused, problems, grown: peak() - before }))
