import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDate, TemplateDate } from './template-date.ts'

test('a date is one of the calendar', () => {
  for (const date of ['2026-12-01', '2024-02-29', '0001-01-01', '9999-12-31']) assert.ok(isDate(date), date)
  for (const date of ['2026-02-29', '2026-13-01', '2026-1-1', '2026-12-01T00:00:00Z', '', '12345-01-01'])
    assert.ok(!isDate(date), date)
})

test('strftime gives what C does in the C locale', () => {
  const first = new TemplateDate('2026-02-01')
  const cases = {
    '%Y-%m-%d': '2026-02-01',
    '%d %B %Y': '01 February 2026',
    '%-d %b %y': '1 Feb 26',
    '%A, %a, %j': 'Sunday, Sun, 032',
    '%e|%F|%D': ' 1|2026-02-01|02/01/26',
    '%H:%M:%S %p %T': '00:00:00 AM 00:00:00',
    '100%%': '100%',
    '': ''
  }
  assert.equal(first.asked, false)
  for (const [format, text] of Object.entries(cases)) assert.equal(first.strftime(format), text)
  assert.equal(first.asked, true)
  assert.equal(new TemplateDate('2024-12-31').strftime('%j'), '366')
  assert.equal(new TemplateDate('0987-01-02').strftime('%Y %A'), '0987 Tuesday')
  for (const format of ['%Q', '%', 7, '%Y'.repeat(200)]) assert.throws(() => first.strftime(format), /strftime_now/)
})

test('without a date it is today', () => {
  assert.ok(isDate(new TemplateDate().date))
})
