import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { signingPage } from '../scripts/signing-example.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { signedServer } from './signed-server.ts'

const page = readFileSync(new URL('../docs/reference/request-signing.md', import.meta.url), 'utf8')

function hasPython(): boolean {
  try {
    return (
      execFileSync('python3', ['-c', 'import sys; print(sys.version_info >= (3, 9))'], {
        encoding: 'utf8',
        stdio: 'pipe'
      }).trim() === 'True'
    )
  } catch {
    return false
  }
}

test(
  'the worked example of docs/reference/request-signing.md is what the code makes now (node ' +
    'scripts/signing-example.ts)',
  () => {
    assert.equal(page, signingPage(page))
  }
)

test(
  'the Python client in docs/reference/request-signing.md is understood',
  { skip: !hasPython() && 'there is no Python 3.9' },
  async () => {
    const key = 'verit_test'
    await using server = await signedServer({
      credential: { publicKey: undefined, signingSecret: signingSecret(key) },
      answers: { '/v1/models': '{"object":"list"}' }
    })
    const program = /```python\n([^]*?)```/.exec(page)![1]!
    const { stdout } = await promisify(execFile)(
      'python3',
      ['-c', program, new URL(server.url).host, 'key_0123456789ab.1'],
      { env: { ...process.env, VERIT_API_KEY: key } }
    )
    assert.match(stdout, /Hello there[^]*"object":"list"/)
    assert.equal(server.accepted.length, 2)
  }
)
