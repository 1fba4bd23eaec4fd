import { test } from 'node:test'
import { damage } from '../model-damage.ts'

const COUNT = 5_000

for (const kind of ['gpt', 'bitnet'] as const) {
  const name = `${COUNT} damages of a ${kind} model each end in one clear error or a model that answers`
  test(name, () => damage(kind, COUNT))
}
