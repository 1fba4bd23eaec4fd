/** Keys and outbox of the store, over both databases. Two stores on one database stand for two gateways. */
// own process: it runs for long
// long: it writes each step to disk
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { VeritError } from '../src/lib/errors.ts'
import { newKey } from '../src/store/key-format.ts'
import { defaultScopes } from '../src/store/key-store.ts'
import type { Credential, NewKeyOptions } from '../src/store/key-store.ts'
import type { OutboxEvent } from '../src/store/store.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { makeCertificate } from './certificates.ts'
import { DAY, dialects, place, refused, two } from './stores.ts'

for (const dialect of dialects) {
  describe(dialect, () => {
    test('a key verifies until another gateway revokes it; others never do', async () => {
      await using stores = await two(dialect)
      const { a, b } = stores
      const { key, record, credentialId } = await a.keys.create({ name: 'one', scopes: ['models'] }, 'cli')
      assert.deepEqual((await a.keys.bySecret(key!))?.record, record)
      assert.deepEqual(record.scopes, ['models'])
      assert.equal(credentialId, `${record.id}.1`)
      for (const other of [newKey(), `${key} `, '', record.id, credentialId, '\0']) {
        assert.deepEqual(await Promise.all([a.keys.bySecret(other), a.keys.byCertificate(other)]), [
          undefined,
          undefined
        ])
      }
      for (const id of ['', '\0', `${record.id}\0`, `${record.id}.1\0`, `${record.id}.01`, '\ud800', "' OR 1=1 --"]) {
        for (const found of [
          a.keys.get(id),
          a.keys.byId(id),
          a.keys.revoke(id, 'cli'),
          a.keys.change(id, {}, 'cli'),
          a.keys.rotate(id, { overlapSeconds: 0 }, 'cli')
        ]) {
          assert.equal(await found, undefined)
        }
      }
      assert.deepEqual((await b.keys.byId(credentialId))?.record, record)
      assert.deepEqual([...(await b.keys.valid([record.id, 'key_000000000000', record.id]))], [[record.id, record]])
      const revoked = await b.keys.revoke(record.id, 'cli')
      assert.ok(revoked?.revoked !== undefined)
      assert.equal(await a.keys.bySecret(key!), undefined)
      assert.equal(await a.keys.byId(credentialId), undefined)
      assert.equal((await a.keys.valid([record.id])).size, 0)
      assert.equal((await a.keys.revoke(record.id, 'cli'))?.revoked, revoked.revoked)
      assert.equal(await a.keys.revoke('key_000000000000', 'cli'), undefined)
      assert.equal(await a.keys.rotate(record.id, { overlapSeconds: 0 }, 'cli'), undefined)
      assert.equal(await a.keys.change(record.id, { name: 'two' }, 'cli'), undefined)
      assert.deepEqual(await a.keys.list(), [revoked])
    })

    test('of gateways that start together one makes the first key, and nobody does again', async () => {
      await using stores = await two(dialect)
      const { a, b } = stores
      const made = (await Promise.all([a, b, a, b].map(store => store.keys.createFirst('first key')))).filter(
        k => k !== undefined
      )
      assert.equal(made.length, 1)
      assert.deepEqual(made[0]!.record.scopes, defaultScopes)
      await a.keys.revoke(made[0]!.record.id, 'cli')
      assert.equal(await b.keys.createFirst('first key'), undefined)
    })

    test('gateways that open an empty database at once both find the newest schema and one secret', async () => {
      const at = await place(dialect)
      await (await at.open()).close()
      const other = await place(dialect)
      mkdirSync(other.stateFolder, { mode: 0o700 })
      cpSync(join(at.stateFolder, 'secret'), join(other.stateFolder, 'secret'))
      const stores = await Promise.all([other.open(), other.open(), other.open()])
      const { key } = await stores[0]!.keys.create({ name: 'x' }, 'cli')
      for (const store of stores) assert.ok(await store.keys.bySecret(key!))
      for (const store of stores) await store.close()
    })

    test('every option is kept in its one form, and what is not an option is refused', async () => {
      await using stores = await two(dialect)
      const { a, b } = stores
      const options = {
        name: 'Übung "1"',
        owner: 'ops@verit.example',
        scopes: ['audit', 'infer', 'infer'],
        models: ['gpt/small', 'b'],
        addresses: ['::ffff:192.0.2.9', '2001:DB8::1/32', '192.0.2.9'],
        signing: 'optional',
        limits: { tokensPerDay: 1, streams: Number.MAX_SAFE_INTEGER },
        expires: '2999-01-31'
      } satisfies NewKeyOptions
      const { record } = await a.keys.create(options, 'cli')
      assert.deepEqual(await b.keys.get(record.id), record)
      assert.deepEqual(
        { ...record, id: '', created: '', credentials: [] },
        {
          ...options,
          kind: 'secret',
          scopes: ['infer', 'audit'],
          addresses: ['192.0.2.9', '2001:db8::/32'],
          expires: '2999-01-31T00:00:00.000Z',
          id: '',
          created: '',
          credentials: [],
          lastUsed: undefined,
          revoked: undefined
        }
      )
      assert.equal(await a.keys.get('key_none'), undefined)
      const wrong: [string, object][] = [
        ['name', { name: '' }],
        ['name', { name: 'x'.repeat(65) }],
        ['name', { name: 'a\nb' }],
        ['name', { name: ' a' }],
        ['name', { name: '\ud800' }],
        ['name', { name: 5 }],
        ['owner', { owner: 'x'.repeat(129) }],
        ['scopes', { scopes: [] }],
        ['scopes', { scopes: ['root'] }],
        ['scopes', { scopes: 'infer' }],
        ['models', { models: ['../x'] }],
        ['models', { models: [''] }],
        ['models', { models: Array.from({ length: 101 }, (_, i) => `m${i}`) }],
        ['addresses', { addresses: ['localhost'] }],
        ['addresses', { addresses: ['fe80::1%eth0'] }],
        ['signing', { signing: 'sometimes' }],
        ['limits', { limits: [] }],
        ['limits.streams', { limits: { streams: 0 } }],
        ['limits.streams', { limits: { streams: 1.5 } }],
        ['limits.tokensPerDay', { limits: { tokensPerDay: 2 ** 53 } }],
        ['limits.other', { limits: { other: 1 } }],
        ['limits.__proto__', { limits: JSON.parse('{"__proto__": 1}') as object }],
        ['expires', { expires: '2020-01-01' }],
        ['expires', { expires: 'soon' }],
        ['expires', { expires: '2999-13-01' }],
        ['expires', { expires: '99999-01-01' }],
        ['kind', { kind: 'rsa' }],
        ['public', { public: new Uint8Array(44) }],
        ['other', { other: 1 }],
        ['public', { kind: 'ed25519' }],
        ['public', { kind: 'ed25519', public: new Uint8Array(44) }],
        ['public', { kind: 'certificate', public: new Uint8Array(44) }]
      ]
      for (const [field, extra] of wrong) {
        const named = (e: unknown): boolean => VeritError.is(e, 'VERIT_KEY_OPTION') && e.fields.field === field
        await assert.rejects(
          a.keys.create({ name: 'x', ...extra } as NewKeyOptions, 'cli'),
          named,
          JSON.stringify(extra)
        )
      }
      for (const change of [
        { name: '' },
        { limits: { streams: -1 } },
        { id: 'x' },
        { kind: 'ed25519' },
        { revoked: undefined }
      ]) {
        await assert.rejects(
          a.keys.change(record.id, change, 'cli'),
          refused('VERIT_KEY_OPTION'),
          JSON.stringify(change)
        )
      }
      for (const overlapSeconds of [-1, 0.5, NaN, 400 * 86_400])
        await assert.rejects(a.keys.rotate(record.id, { overlapSeconds }, 'cli'), refused('VERIT_KEY_OPTION'))
      assert.equal((await a.keys.list()).length, 1)
    })

    test('a key ends when it expires, and an overlap when its time is over', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date'], now })
      await using stores = await two(dialect)
      const { a, b } = stores
      const short = await a.keys.create({ name: 'short', expires: new Date(now + DAY).toISOString() }, 'cli')
      const long = await a.keys.create({ name: 'long' }, 'cli')
      const second = (await b.keys.rotate(long.record.id, { overlapSeconds: 3600 }, 'cli'))!
      const third = (await b.keys.rotate(long.record.id, { overlapSeconds: 7200 }, 'cli'))!
      assert.deepEqual(
        third.record.credentials.map(c => [c.id.slice(-2), c.expires]),
        [
          ['.1', new Date(now + 3_600_000).toISOString()],
          ['.2', new Date(now + 7_200_000).toISOString()],
          ['.3', undefined]
        ]
      )
      const who = async (): Promise<(string | undefined)[]> =>
        Promise.all([short, long, second, third].map(async k => (await a.keys.bySecret(k.key!))?.id.slice(-2)))
      assert.deepEqual(await who(), ['.1', '.1', '.2', '.3'])
      context.mock.timers.setTime(now + 3_600_000)
      assert.deepEqual(await who(), ['.1', undefined, '.2', '.3'])
      assert.deepEqual(
        (await a.keys.bySecret(third.key!))!.record.credentials.map(c => c.id.slice(-2)),
        ['.2', '.3']
      )
      context.mock.timers.setTime(now + DAY - 1)
      assert.deepEqual(await who(), ['.1', undefined, undefined, '.3'])
      assert.equal((await a.keys.valid([short.record.id])).size, 1)
      context.mock.timers.setTime(now + DAY)
      assert.deepEqual(await who(), [undefined, undefined, undefined, '.3'])
      assert.equal((await a.keys.valid([short.record.id])).size, 0)
      assert.equal(await a.keys.change(short.record.id, { expires: undefined }, 'cli'), undefined)
      const fourth = (await a.keys.rotate(long.record.id, { overlapSeconds: 0 }, 'cli'))!
      assert.equal(await b.keys.bySecret(third.key!), undefined)
      assert.equal((await b.keys.bySecret(fourth.key!))?.id, `${long.record.id}.4`)
      const limited = (await a.keys.change(long.record.id, { expires: new Date(now + 2 * DAY).toISOString() }, 'cli'))!
      assert.deepEqual(
        limited.credentials.map(c => c.expires),
        [new Date(now + 2 * DAY).toISOString()]
      )
      assert.equal((await a.keys.change(long.record.id, { expires: undefined }, 'cli'))!.expires, undefined)
    })

    test(
      'the secret that requests are signed with is there where signing is allowed, encrypted, and only for its ' +
        'credential',
      async () => {
        await using stores = await two(dialect)
        const { a, b, at } = stores
        const sealed = async (): Promise<unknown[]> =>
          (await at.query('SELECT id, signing_secret FROM verit_credential ORDER BY id')).map(
            row => row['signing_secret']
          )
        const secretOf = async (id: string): Promise<Credential['signingSecret']> =>
          (await b.keys.byId(id))?.signingSecret
        const made = await a.keys.create({ name: 'never' }, 'cli')
        const { id } = made.record
        assert.deepEqual(await sealed(), [null])
        assert.equal(await secretOf(`${id}.1`), undefined)
        await assert.rejects(a.keys.change(id, { signing: 'required' }, 'cli'), refused('VERIT_USAGE', 'rotated first'))
        assert.equal((await a.keys.change(id, { signing: 'optional' }, 'cli'))?.signing, 'optional')
        assert.equal(await secretOf(`${id}.1`), undefined)
        const { key } = (await a.keys.rotate(id, { overlapSeconds: 3600 }, 'cli'))!
        assert.deepEqual(await secretOf(`${id}.2`), signingSecret(key!))
        assert.equal((await a.keys.change(id, { signing: 'required' }, 'cli'))?.signing, 'required')
        assert.deepEqual((await b.keys.bySecret(key!))?.signingSecret, signingSecret(key!))
        const other = await a.keys.create({ name: 'other', signing: 'required' }, 'cli')
        await at.query(
          'UPDATE verit_credential SET signing_secret = (SELECT signing_secret FROM verit_credential WHERE id = ' +
            `'${id}.2') WHERE id = '${other.credentialId}'`
        )
        await assert.rejects(b.keys.byId(other.credentialId), refused('VERIT_STATE', other.credentialId))
        await a.keys.change(other.record.id, { signing: 'never' }, 'cli')
        await a.keys.change(id, { signing: 'never' }, 'cli')
        assert.deepEqual(await sealed(), [null, null, null])
      }
    )

    test('key pairs and certificates are registered once, and found', async () => {
      await using stores = await two(dialect)
      const { a, b } = stores
      const pair = (): Buffer => generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' })
      const [one, next] = [pair(), pair()]
      const { record, key } = await a.keys.create({ name: 'pair', kind: 'ed25519', public: one }, 'cli')
      assert.deepEqual(
        [key, record.kind, record.signing, record.credentials.length],
        [undefined, 'ed25519', 'required', 1]
      )
      assert.deepEqual(Buffer.from((await b.keys.byId(`${record.id}.1`))!.publicKey!), one)
      await assert.rejects(
        a.keys.change(record.id, { signing: 'optional' }, 'cli'),
        refused('VERIT_KEY_OPTION', 'ed25519')
      )
      await assert.rejects(
        b.keys.create({ name: 'again', kind: 'ed25519', public: one }, 'cli'),
        refused('VERIT_KEY_OPTION', 'registered already')
      )
      await assert.rejects(b.keys.rotate(record.id, { overlapSeconds: 0 }, 'cli'), refused('VERIT_KEY_OPTION'))
      assert.equal(
        (await b.keys.rotate(record.id, { overlapSeconds: 0, public: next }, 'cli'))?.credentialId,
        `${record.id}.2`
      )
      assert.equal(await a.keys.byId(`${record.id}.1`), undefined)
      assert.deepEqual(Buffer.from((await a.keys.byId(`${record.id}.2`))!.publicKey!), next)

      const { der, fingerprint } = makeCertificate({ subject: 'client', purpose: 'client' })
      const certified = await a.keys.create({ name: 'certificate', kind: 'certificate', public: der }, 'cli')
      assert.equal((await b.keys.byCertificate(fingerprint))?.id, certified.credentialId)
      for (const none of [record.credentials[0]!.fingerprint!, '', fingerprint.toUpperCase(), '0'.repeat(64)])
        assert.equal(await b.keys.byCertificate(none), undefined)
      await a.keys.revoke(certified.record.id, 'cli')
      assert.equal(await b.keys.byCertificate(fingerprint), undefined)
      await assert.rejects(
        b.keys.create({ name: 'again', kind: 'certificate', public: der }, 'cli'),
        refused('VERIT_KEY_OPTION', certified.credentialId)
      )
      const old = makeCertificate({ subject: 'old', from: new Date('2020-01-01'), to: new Date('2020-02-01') })
      await assert.rejects(
        b.keys.create({ name: 'old', kind: 'certificate', public: old.der }, 'cli'),
        refused('VERIT_KEY_OPTION', 'expired')
      )
      await assert.rejects(
        b.keys.create({ name: 'more', kind: 'certificate', public: Buffer.concat([der, Buffer.alloc(1)]) }, 'cli'),
        refused('VERIT_KEY_OPTION')
      )
    })

    test('each change leaves one event, with public facts only, and one gateway at a time takes it', async () => {
      await using stores = await two(dialect)
      const { a, b } = stores
      const {
        key,
        record: { id }
      } = await a.keys.create({ name: 'x', limits: { streams: 2 } }, 'cli')
      const rotated = await b.keys.rotate(id, { overlapSeconds: 60 }, 'key_admin')
      await a.keys.change(id, { name: 'y', limits: { streams: 2 }, models: ['m'], expires: undefined }, 'cli')
      await a.keys.change(id, { name: 'y' }, 'cli')
      await a.keys.revoke(id, 'cli')
      await a.keys.revoke(id, 'cli')
      await assert.rejects(
        a.outbox.drain(async () => {
          throw new Error('the log is full')
        }),
        /full/
      )
      assert.equal(await b.outbox.pending(), 4)
      // while one hands over, neither the other nor itself does
      let within: number[] = []
      const events: OutboxEvent[] = []
      const log = async (some: readonly OutboxEvent[]): Promise<void> => {
        within = [await b.outbox.drain(log), await a.outbox.drain(log)]
        events.push(...some)
      }
      assert.equal(await a.outbox.drain(log), 4)
      assert.deepEqual(within, [0, 0])
      assert.equal(await b.outbox.pending(), 0)
      assert.deepEqual(
        events.map(e => [e.type, e.actor]),
        [
          ['key.create', 'cli'],
          ['key.rotate', 'key_admin'],
          ['key.change', 'cli'],
          ['key.revoke', 'cli']
        ]
      )
      assert.deepEqual(events[0]!.detail, {
        key: id,
        credential: `${id}.1`,
        kind: 'secret',
        name: 'x',
        owner: '',
        scopes: defaultScopes,
        models: [],
        addresses: [],
        signing: 'never',
        limits: { streams: 2 }
      })
      assert.deepEqual(events[2]!.detail, {
        key: id,
        before: { name: 'x', models: [] },
        after: { name: 'y', models: ['m'] }
      })
      const text = JSON.stringify(events)
      for (const secret of [key!, rotated!.key!]) assert.ok(!text.includes(secret.slice(6, 49)))
      await b.keys.create({ name: 'z' }, 'cli')
      const later: OutboxEvent[] = []
      const handed = await Promise.all(
        [b, a, b, a, b].map(store => store.outbox.drain(async some => void later.push(...some)))
      )
      assert.equal(
        handed.reduce((n, one) => n + one),
        1
      )
      assert.ok(later.length === 1 && later[0]!.id > events[3]!.id)
    })

    test('more events than are handed over at once all arrive, in order, from either gateway', async () => {
      await using stores = await two(dialect)
      const { a, b, at } = stores
      await at.query(
        'INSERT INTO verit_outbox (time, actor, type, detail) VALUES ' +
          `${Array.from({ length: 301 }, (_, i) => `('t', 'cli', 'key.change', '{"n":${i}}')`).join()}`
      )
      const sizes: number[] = []
      const numbers: unknown[] = []
      while (
        (await (sizes.length % 2 === 0 ? a : b).outbox.drain(async some => {
          sizes.push(some.length)
          numbers.push(...some.map(e => e.detail['n']))
        })) > 0
      );
      assert.deepEqual(sizes, [256, 45])
      assert.deepEqual(
        numbers,
        Array.from({ length: 301 }, (_, i) => i)
      )
    })
  })
}
