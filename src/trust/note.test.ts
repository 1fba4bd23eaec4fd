import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { checkpointText, openCheckpoint, parseCheckpoint } from './checkpoint.ts'
import {
  NOTE_COSIGNATURE,
  NOTE_ED25519,
  formatSignerKey,
  newSignerKey,
  parseSignerKey,
  parseVerifierKey,
  verifierKey
} from './note-key.ts'
import { formatNote, parseNote, signNote, verifyNote } from './signed-note.ts'

const refused = (code: ErrorCode, f: () => unknown): void => assert.throws(f, e => VeritError.is(e, code))

// The key pairs and note of the tests of golang.org/x/mod/sumdb/note (BSD-3-Clause).
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const PETER_SECRET = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const ENOCH = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const PETER_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const ENOCH_LINE =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n'

test('the published keys sign and verify the published note', () => {
  const [peter, enoch] = [parseVerifierKey(PETER), parseVerifierKey(ENOCH)]
  const signer = parseSignerKey(PETER_SECRET, 'a test')
  assert.equal(signer.verifier.text, PETER)
  assert.equal(formatSignerKey(signer), PETER_SECRET)
  assert.equal(formatNote({ text: TEXT, signatures: [signNote(TEXT, signer)] }), `${TEXT}\n${PETER_LINE}`)
  const note = parseNote(`${TEXT}\n${PETER_LINE}${ENOCH_LINE}`, 'a test')
  assert.deepEqual(
    verifyNote(note, [peter, enoch], 'a test').map(s => s.key.name),
    ['PeterNeumann', 'EnochRoot']
  )
  assert.deepEqual(
    verifyNote(note, [enoch], 'a test').map(s => s.key.name),
    ['EnochRoot']
  )
  assert.deepEqual(verifyNote(note, [], 'a test'), [])
  refused('VERIT_NOTE_SIGNATURE', () => verifyNote({ ...note, text: `${TEXT}\n` }, [peter], 'a test'))
})

test('no part of a key and no key with one byte changed is a key', () => {
  for (const key of [PETER, PETER_SECRET]) {
    const parse = key === PETER ? parseVerifierKey : (text: string) => parseSignerKey(text, 'a test')
    const isRefused = (text: string): void =>
      assert.throws(
        () => parse(text),
        e => VeritError.is(e, 'VERIT_NOTE') || VeritError.is(e, 'VERIT_PUBLIC_KEY'),
        text
      )
    for (let i = 0; i <= key.length; i++) {
      for (let j = i; j <= key.length; j++) if (i !== 0 || j !== key.length) isRefused(key.slice(i, j))
      if (i < key.length)
        isRefused(`${key.slice(0, i)}${String.fromCharCode(key.charCodeAt(i) + 1)}${key.slice(i + 1)}`)
    }
  }
  refused('VERIT_NOTE', () =>
    parseVerifierKey('PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==')
  )
  refused('VERIT_NOTE', () => parseVerifierKey('PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'))
})

test('malformed notes are refused', () => {
  const sources: (string | Buffer)[] = [
    '',
    '\n',
    '\n\n',
    TEXT,
    `${TEXT}\n`,
    `${TEXT}\n${PETER_LINE.slice(0, -1)}`,
    `\x01${TEXT}\n${PETER_LINE}`,
    `${TEXT}\r\n${PETER_LINE}`,
    Buffer.concat([Buffer.of(0xff), Buffer.from(`${TEXT}\n${PETER_LINE}`)]),
    `${TEXT}\n${PETER_LINE}Unexpected line.\n`,
    `${TEXT}\n${PETER_LINE}\n`,
    `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter Neumann')}`,
    `${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}`,
    `${TEXT}\n${PETER_LINE.replace('=', '')}`,
    `${TEXT}\n${PETER_LINE.replace('— ', '- ')}`,
    `${TEXT}\n— PeterNeumann x08gow==\n`,
    `${TEXT}\n${PETER_LINE.repeat(101)}`,
    'x'.repeat((1 << 20) + 1)
  ]
  for (const source of sources) refused('VERIT_NOTE', () => parseNote(source, 'a test'))
})

test('notes are written and read back, whatever the text', () => {
  const signer = newSignerKey('example.test/log', NOTE_ED25519)
  const lines = fc.array(
    fc.string({ unit: 'grapheme' }).map(s => s.replace(/\p{Cc}/gu, '')),
    { minLength: 1 }
  )
  fc.assert(
    fc.property(lines, list => {
      const text = `${list.join('\n')}\n`
      const note = { text, signatures: [signNote(text, signer)] }
      assert.deepEqual(parseNote(formatNote(note), 'a test'), note)
      assert.equal(verifyNote(note, [signer.verifier], 'a test').length, 1)
    }),
    { numRuns: 100 }
  )
})

test('a cosignature holds for its text and time only', () => {
  const witness = newSignerKey('witness.example/w1', NOTE_COSIGNATURE)
  const text = checkpointText(
    'example.com/behind-the-sofa',
    20852163,
    Buffer.from('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', 'base64')
  )
  const line = signNote(text, witness, 1679315147)
  assert.equal(line.signature.length, 72)
  assert.deepEqual(
    verifyNote({ text, signatures: [line] }, [witness.verifier], 'a test').map(s => s.time),
    [1679315147]
  )
  const later = { ...line, signature: Buffer.from(line.signature) }
  later.signature[7]! ^= 1
  refused('VERIT_NOTE_SIGNATURE', () => verifyNote({ text, signatures: [later] }, [witness.verifier], 'a test'))
  // The same key as a log's is another key: it has another id, and its signatures are of another kind.
  const asLog = verifierKey('witness.example/w1', witness.key, NOTE_ED25519)
  assert.notEqual(asLog.id, witness.verifier.id)
  assert.deepEqual(verifyNote({ text, signatures: [line] }, [asLog], 'a test'), [])
})

test('a checkpoint is read in its one form', () => {
  const root = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='
  assert.deepEqual(parseCheckpoint(`example.com/behind-the-sofa\n20852163\n${root}\nmore\n`, 'a test'), {
    origin: 'example.com/behind-the-sofa',
    size: 20852163,
    root: Buffer.from(root, 'base64')
  })
  for (const text of [
    `a\n1\n${root}`,
    `a\n1\n`,
    `\n1\n${root}\n`,
    `a\n01\n${root}\n`,
    `a\n+1\n${root}\n`,
    `a\n1.0\n${root}\n`,
    `a\n-1\n${root}\n`,
    `a\n9007199254740992\n${root}\n`,
    `a\n1\n${root.slice(0, -1)}\n`,
    `a\n1\n${root.slice(4)}\n`,
    `a\n1\n${root}\n\n`,
    `a b\n1\n${root}\n`,
    `a\n 1\n${root}\n`
  ])
    refused('VERIT_NOTE', () => parseCheckpoint(text, 'a test'))
})

test('a checkpoint is opened only with the key of its log', () => {
  const [log, other] = [newSignerKey('example.test/log', NOTE_ED25519), newSignerKey('example.test/log', NOTE_ED25519)]
  const witness = newSignerKey('w.example', NOTE_COSIGNATURE)
  const text = checkpointText('example.test/log', 3, Buffer.alloc(32, 7))
  const data = formatNote({ text, signatures: [signNote(text, log), signNote(text, witness)] })
  assert.deepEqual(
    openCheckpoint(data, log.verifier, 'a test', [witness.verifier]).signatures.map(s => s.key.name),
    ['w.example']
  )
  assert.deepEqual(openCheckpoint(data, log.verifier, 'a test').signatures, [])
  refused('VERIT_NOTE_UNSIGNED', () => openCheckpoint(data, other.verifier, 'a test'))
  refused('VERIT_NOTE_SIGNATURE', () => openCheckpoint(data.replace('\n3\n', '\n4\n'), log.verifier, 'a test'))
  const foreign = checkpointText('example.test/other', 3, Buffer.alloc(32, 7))
  refused('VERIT_NOTE', () =>
    openCheckpoint(formatNote({ text: foreign, signatures: [signNote(foreign, log)] }), log.verifier, 'a test')
  )
})
