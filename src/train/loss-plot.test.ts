import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lossPlot } from './loss-plot.ts'
import { tickLabels, ticks } from './plot-frame.ts'

test('a run becomes a picture with its losses, its held-out points and its name', () => {
  const rows = Array.from({ length: 3000 }, (_, i) =>
    i % 1000 === 999 ? { step: i + 1, heldOutLoss: 4 - i / 1000 } : { step: i + 1, loss: 5 - i / 1000 }
  )
  const svg = lossPlot(rows, 'a <b> & "c"')!
  assert.equal(svg.match(/<circle/g)!.length, 4)
  assert.ok(svg.includes('a &#60;b&#62; &#38; &#34;c&#34;'))
  assert.ok(svg.includes('1.0010'))
  assert.ok(!/NaN|Infinity|undefined/.test(svg))
  assert.ok(svg.length < 60_000)
})

test('a run without two steps has no picture; equal losses have one', () => {
  assert.equal(lossPlot([{ step: 1, loss: 3 }], 'x'), undefined)
  assert.ok(
    !lossPlot(
      [
        { step: 1, loss: 3 },
        { step: 2, loss: 3 }
      ],
      'x'
    )!.includes('NaN')
  )
})

test('labels of ticks have the same number of decimals', () => {
  assert.deepEqual(tickLabels([1.8, 2, 2.2]), ['1.8', '2.0', '2.2'])
  assert.deepEqual(tickLabels([0, 500, 1000]), ['0', '500', '1,000'])
})

test('ticks are round, ascending and inside', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      (low, width) => {
        const t = ticks(low, low + width, 6)
        assert.ok(t.length >= 1 && t.length <= 40)
        assert.ok(
          t.every((v, i) => v >= low - width * 1e-6 && v <= low + width * (1 + 1e-6) && (i === 0 || v > t[i - 1]!))
        )
      }
    )
  )
})
