import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'node:test'
import { Progress, formatBytes } from './progress.ts'

test('the line of a terminal fits its width with all its words: the bar gives way', async () => {
  const columns = [80, 60]
  const written: string[] = []
  const bars = columns.map(
    (width, i) =>
      new Progress({
        label: 'download',
        total: 600e6,
        format: formatBytes,
        stream: { isTTY: true, columns: width, write: text => void (written[i] = text) }
      })
  )
  await wait(600) // nothing is drawn before half a second
  bars.forEach(bar => bar.update(93e6, '183.1 MB/s'))
  const lines = written.map(text => text.slice(text.indexOf('K') + 1))
  lines.forEach((line, i) => {
    assert.match(line, /^download .*93\.0 MB\/600\.0 MB 15 % {2}183\.1 MB\/s {2}\d+ s left$/)
    assert.ok(line.length < columns[i]!)
  })
  const [wide, narrow] = lines.map(line => line.match(/[█░]/g)?.length ?? 0)
  assert.equal(wide, 20)
  assert.ok(narrow! > 0 && narrow! < 20)
})

test('a terminal that does not know its size shows the whole line', async () => {
  let text = ''
  const bar = new Progress({
    label: 'download',
    total: 10,
    stream: { isTTY: true, columns: 0, write: part => void (text += part) }
  })
  await wait(600)
  bar.update(5)
  assert.match(text, /download █{10}░{10} 5\/10 50 % {2}\d+ s left$/)
})
