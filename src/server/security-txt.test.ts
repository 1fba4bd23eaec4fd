import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from './config-file.ts'
import { securityTxt } from './security-txt.ts'

const now = Date.parse('2026-11-22T09:00:00Z')

test('without a contact there is no security.txt', () => {
  assert.equal(securityTxt(parseConfig('[security_txt]\npolicy = "https://a.example/"', 'x')), undefined)
})

test('the fields stand each on a line, Expires once and less than a year ahead', () => {
  assert.equal(
    securityTxt(parseConfig('[security_txt]\ncontact = ["mailto:a@b.example", "tel:+1-201-555-0123"]', 'x'), now),
    'Contact: mailto:a@b.example\r\nContact: tel:+1-201-555-0123\r\nExpires: 2027-05-21T00:00:00Z\r\n'
  )
  const expires = new Date(Date.now() + 86_400_000).toISOString()
  const text = securityTxt(
    parseConfig(
      `[security_txt]\ncontact = ["https://a.example/c"]\nexpires = "${expires}"\npolicy = ` +
        `"https://a.example/p"\ncanonical = "https://a.example/.well-known/security.txt"`,
      'x'
    )
  )
  assert.equal(
    text,
    `Contact: https://a.example/c\r\nExpires: ${expires}\r\nCanonical: ` +
      `https://a.example/.well-known/security.txt\r\nPolicy: https://a.example/p\r\n`
  )
})
