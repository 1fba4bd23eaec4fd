import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NameCounter } from './name-counter.ts'

/** How often each notice says that a name occurs. */
function counted(pieces: readonly string[], specials: readonly string[]): Record<string, number> {
  const counter = new NameCounter(specials)
  for (const piece of pieces) counter.push(piece)
  counter.end()
  return Object.fromEntries(
    counter.notices.map(n => {
      const [, name, count] = /^The text spells (\S+) ([\d,]+) times/.exec(n)!
      return [name, Number(count)]
    })
  )
}

test('names are counted in pieces as in the whole, from three on', () => {
  const part = fc.constantFrom('<|user|>', '<|us', 'er|>', '</s>', '<', '/s>', ' a ', '<|endoftext|>')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), pieces => {
      const whole = pieces.join('')
      const times = (name: string): number => whole.split(name).length - 1
      const names = ['<|user|>', '</s>', '<|endoftext|>'].filter(name => times(name) >= 3)
      assert.deepEqual(counted(pieces, ['<|user|>']), Object.fromEntries(names.map(name => [name, times(name)])))
    })
  )
})
