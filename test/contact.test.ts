/** The security contact stands in one place; everything that shows it follows. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { securityPage, withContact } from '../scripts/contact.ts'
import { packedManifest } from '../scripts/packed-manifest.ts'
import { checkContact } from '../src/doctor/contact.ts'
import { SECURITY_CONTACT, contactProblem } from '../src/lib/security-contact.ts'

const page = readFileSync(securityPage, 'utf8')

test('SECURITY.md shows the contact of the one place, and no other way to report', () => {
  assert.equal(withContact(page), page)
  for (const contact of ['mailto:security@verit.dev', 'https://verit.dev/report']) {
    const changed = withContact(page, contact)
    assert.ok(changed.includes(`Report privately to **${contact.replace('mailto:', '')}**.`))
    assert.doesNotMatch(changed, /names no contact/)
    assert.equal(withContact(changed), page)
  }
  const rest = page.slice(page.indexOf('<!-- End'))
  assert.doesNotMatch(rest, /@[\w.]+\.\w+|"Security" tab|vulnerability reporting/)
  assert.throws(() => withContact('# Security'), /no place/)
})

test('a contact is an address that somebody can have', () => {
  for (const good of ['mailto:security@verit.dev', 'https://verit.dev/report', 'https://hackerone.com/verit'])
    assert.equal(contactProblem(good), undefined, good)
  const wrong = [
    '',
    'security@verit.dev',
    'mailto:',
    'mailto:a@b',
    'http://verit.dev',
    'https://',
    'mailto:a@example.com',
    'https://verit.example/',
    'https://localhost/',
    'mailto:a@b.dev?subject=x',
    'mailto:a b@c.dev'
  ]
  for (const contact of wrong) assert.notEqual(contactProblem(contact), undefined, contact)
})

test('the doctor says whether there is one, and the packed package.json carries it', () => {
  assert.deepEqual(
    [
      checkContact('', true).level,
      checkContact('', false).level,
      checkContact('mailto:security@verit.dev', false).level
    ],
    ['note', 'warning', 'ok']
  )
  const own = {
    name: 'verit',
    version: '1.0.0',
    files: ['dist', 'prebuilds/**/*.node'],
    scripts: {},
    dependencies: {},
    devDependencies: {},
    workspaces: []
  }
  assert.deepEqual(packedManifest(own, undefined, 'mailto:security@verit.dev'), {
    name: 'verit',
    version: '1.0.0',
    files: ['dist', `prebuilds/${process.platform}-${process.arch}/verit.node`],
    bugs: { email: 'security@verit.dev' }
  })
  assert.deepEqual(packedManifest(own, ['linux-x64'], 'https://verit.dev/r'), {
    name: 'verit',
    version: '1.0.0',
    files: ['dist'],
    bugs: { url: 'https://verit.dev/r' },
    optionalDependencies: { '@verit/kernels-linux-x64': '1.0.0' }
  })
  assert.equal('bugs' in packedManifest(own), SECURITY_CONTACT !== '')
})
