/** What the store promises, over both databases. Two stores on one database stand for two gateways. */
// own process: it runs for long
// long: it writes each step to disk
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, mock, test } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { VeritError } from '../src/lib/errors.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { newKey } from '../src/store/key-format.ts'
import { defaultScopes } from '../src/store/key-store.ts'
import type { Credential, NewKeyOptions } from '../src/store/key-store.ts'
import { openStore, peekStore } from '../src/store/open-store.ts'
import type { OutboxEvent, Reservation, Store } from '../src/store/store.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { makeCertificate } from './certificates.ts'
import { startPostgres } from './postgres.ts'
import type { Postgres } from './postgres.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-store-'))
let postgres: Postgres
before(async () => {
  postgres = await startPostgres()
})
after(async () => {
  await postgres?.stop()
  rmSync(dir, { recursive: true })
})

const refused = (code: ErrorCode, text = '') => (e: unknown): boolean => VeritError.is(e, code) && e.message.includes(text)
const C1 = 'key_00000000000a.1'
const C2 = 'key_00000000000a.2'
const MINUTE = 60_000
const DAY = 86_400_000

let folders = 0
/** A new, empty database with a secret, which several stores may open. */
interface Place {
  readonly stateFolder: string
  readonly databaseUrl: string | undefined
  open(): Promise<Store>
  /** Runs SQL in it without the store. */
  query(sql: string): Promise<Record<string, unknown>[]>
}

async function place(dialect: Dialect, databaseUrl = dialect === 'postgresql' ? postgres.createDatabase() : undefined): Promise<Place> {
  const stateFolder = join(dir, `s${folders++}`)
  const url = await databaseUrl
  return {
    stateFolder, databaseUrl: url,
    open: () => openStore({ stateFolder, databaseUrl: url }),
    query: async sql => {
      if (url === undefined) {
        const db = new DatabaseSync(join(stateFolder, 'verit.sqlite'))
        try {
          return db.prepare(sql).all()
        } finally {
          db.close()
        }
      }
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows
      } finally {
        await client.end()
      }
    },
  }
}

const dialects = ['sqlite', 'postgresql'] as const
type Dialect = (typeof dialects)[number]

for (const dialect of dialects) {
  describe(dialect, () => {
    /** Two gateways. */
    const two = async (): Promise<{ a: Store; b: Store; at: Place } & AsyncDisposable> => {
      const at = await place(dialect)
      const [a, b] = [await at.open(), await at.open()]
      return { a, b, at, [Symbol.asyncDispose]: async () => void await Promise.all([a.close(), b.close()]) }
    }

    test('a key verifies until another gateway revokes it; others never do', async () => {
      await using stores = await two()
      const { a, b } = stores
      const { key, record, credentialId } = await a.keys.create({ name: 'one', scopes: ['models'] }, 'cli')
      assert.deepEqual((await a.keys.bySecret(key!))?.record, record)
      assert.deepEqual(record.scopes, ['models'])
      assert.equal(credentialId, `${record.id}.1`)
      for (const other of [newKey(), `${key} `, '', record.id, credentialId, '\0']) {
        assert.deepEqual(await Promise.all([a.keys.bySecret(other), a.keys.byCertificate(other)]), [undefined, undefined])
      }
      for (const id of ['', '\0', `${record.id}\0`, `${record.id}.1\0`, `${record.id}.01`, '\ud800', "' OR 1=1 --"]) {
        for (const found of [a.keys.get(id), a.keys.byId(id), a.keys.revoke(id, 'cli'), a.keys.change(id, {}, 'cli'), a.keys.rotate(id, { overlapSeconds: 0 }, 'cli')]) {
          assert.equal(await found, undefined)
        }
      }
      assert.deepEqual((await b.keys.byId(credentialId))?.record, record)
      assert.deepEqual([...await b.keys.valid([record.id, 'key_000000000000', record.id])], [[record.id, record]])
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
      await using stores = await two()
      const { a, b } = stores
      const made = (await Promise.all([a, b, a, b].map(store => store.keys.createFirst('first key')))).filter(k => k !== undefined)
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
      await using stores = await two()
      const { a, b } = stores
      const options = {
        name: 'Übung "1"', owner: 'ops@verit.example', scopes: ['audit', 'infer', 'infer'], models: ['gpt/small', 'b'], addresses: ['::ffff:192.0.2.9', '2001:DB8::1/32', '192.0.2.9'],
        signing: 'optional', limits: { tokensPerDay: 1, streams: Number.MAX_SAFE_INTEGER }, expires: '2999-01-31',
      } satisfies NewKeyOptions
      const { record } = await a.keys.create(options, 'cli')
      assert.deepEqual(await b.keys.get(record.id), record)
      assert.deepEqual({ ...record, id: '', created: '', credentials: [] }, {
        ...options, kind: 'secret', scopes: ['infer', 'audit'], addresses: ['192.0.2.9', '2001:db8::/32'], expires: '2999-01-31T00:00:00.000Z',
        id: '', created: '', credentials: [], lastUsed: undefined, revoked: undefined,
      })
      assert.equal(await a.keys.get('key_none'), undefined)
      const wrong: [string, object][] = [
        ['name', { name: '' }], ['name', { name: 'x'.repeat(65) }], ['name', { name: 'a\nb' }], ['name', { name: ' a' }], ['name', { name: '\ud800' }], ['name', { name: 5 }],
        ['owner', { owner: 'x'.repeat(129) }], ['scopes', { scopes: [] }], ['scopes', { scopes: ['root'] }], ['scopes', { scopes: 'infer' }], ['models', { models: ['../x'] }],
        ['models', { models: [''] }], ['models', { models: Array.from({ length: 101 }, (_, i) => `m${i}`) }], ['addresses', { addresses: ['localhost'] }],
        ['addresses', { addresses: ['fe80::1%eth0'] }], ['signing', { signing: 'sometimes' }], ['limits', { limits: [] }], ['limits.streams', { limits: { streams: 0 } }],
        ['limits.streams', { limits: { streams: 1.5 } }], ['limits.tokensPerDay', { limits: { tokensPerDay: 2 ** 53 } }], ['limits.other', { limits: { other: 1 } }],
        ['limits.__proto__', { limits: JSON.parse('{"__proto__": 1}') as object }], ['expires', { expires: '2020-01-01' }], ['expires', { expires: 'soon' }],
        ['expires', { expires: '2999-13-01' }], ['expires', { expires: '99999-01-01' }], ['kind', { kind: 'rsa' }], ['public', { public: new Uint8Array(44) }], ['other', { other: 1 }],
        ['public', { kind: 'ed25519' }], ['public', { kind: 'ed25519', public: new Uint8Array(44) }], ['public', { kind: 'certificate', public: new Uint8Array(44) }],
      ]
      for (const [field, extra] of wrong) {
        const named = (e: unknown): boolean => VeritError.is(e, 'VERIT_KEY_OPTION') && e.fields.field === field
        await assert.rejects(a.keys.create({ name: 'x', ...extra } as NewKeyOptions, 'cli'), named, JSON.stringify(extra))
      }
      for (const change of [{ name: '' }, { limits: { streams: -1 } }, { id: 'x' }, { kind: 'ed25519' }, { revoked: undefined }]) {
        await assert.rejects(a.keys.change(record.id, change, 'cli'), refused('VERIT_KEY_OPTION'), JSON.stringify(change))
      }
      for (const overlapSeconds of [-1, 0.5, NaN, 400 * 86_400]) await assert.rejects(a.keys.rotate(record.id, { overlapSeconds }, 'cli'), refused('VERIT_KEY_OPTION'))
      assert.equal((await a.keys.list()).length, 1)
    })

    test('a key ends when it expires, and an overlap when its time is over', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date'], now })
      await using stores = await two()
      const { a, b } = stores
      const short = await a.keys.create({ name: 'short', expires: new Date(now + DAY).toISOString() }, 'cli')
      const long = await a.keys.create({ name: 'long' }, 'cli')
      const second = (await b.keys.rotate(long.record.id, { overlapSeconds: 3600 }, 'cli'))!
      const third = (await b.keys.rotate(long.record.id, { overlapSeconds: 7200 }, 'cli'))!
      assert.deepEqual(third.record.credentials.map(c => [c.id.slice(-2), c.expires]),
        [['.1', new Date(now + 3_600_000).toISOString()], ['.2', new Date(now + 7_200_000).toISOString()], ['.3', undefined]])
      const who = async (): Promise<(string | undefined)[]> =>
        Promise.all([short, long, second, third].map(async k => (await a.keys.bySecret(k.key!))?.id.slice(-2)))
      assert.deepEqual(await who(), ['.1', '.1', '.2', '.3'])
      context.mock.timers.setTime(now + 3_600_000)
      assert.deepEqual(await who(), ['.1', undefined, '.2', '.3'])
      assert.deepEqual((await a.keys.bySecret(third.key!))!.record.credentials.map(c => c.id.slice(-2)), ['.2', '.3'])
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
      assert.deepEqual(limited.credentials.map(c => c.expires), [new Date(now + 2 * DAY).toISOString()])
      assert.equal((await a.keys.change(long.record.id, { expires: undefined }, 'cli'))!.expires, undefined)
    })

    test('the secret that requests are signed with is there where signing is allowed, encrypted, and only for its credential', async () => {
      await using stores = await two()
      const { a, b, at } = stores
      const sealed = async (): Promise<unknown[]> => (await at.query('SELECT id, signing_secret FROM verit_credential ORDER BY id')).map(row => row['signing_secret'])
      const secretOf = async (id: string): Promise<Credential['signingSecret']> => (await b.keys.byId(id))?.signingSecret
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
      await at.query(`UPDATE verit_credential SET signing_secret = (SELECT signing_secret FROM verit_credential WHERE id = '${id}.2') WHERE id = '${other.credentialId}'`)
      await assert.rejects(b.keys.byId(other.credentialId), refused('VERIT_STATE', other.credentialId))
      await a.keys.change(other.record.id, { signing: 'never' }, 'cli')
      await a.keys.change(id, { signing: 'never' }, 'cli')
      assert.deepEqual(await sealed(), [null, null, null])
    })

    test('key pairs and certificates are registered once, and found', async () => {
      await using stores = await two()
      const { a, b } = stores
      const pair = (): Buffer => generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' })
      const [one, next] = [pair(), pair()]
      const { record, key } = await a.keys.create({ name: 'pair', kind: 'ed25519', public: one }, 'cli')
      assert.deepEqual([key, record.kind, record.signing, record.credentials.length], [undefined, 'ed25519', 'required', 1])
      assert.deepEqual(Buffer.from((await b.keys.byId(`${record.id}.1`))!.publicKey!), one)
      await assert.rejects(a.keys.change(record.id, { signing: 'optional' }, 'cli'), refused('VERIT_KEY_OPTION', 'ed25519'))
      await assert.rejects(b.keys.create({ name: 'again', kind: 'ed25519', public: one }, 'cli'), refused('VERIT_KEY_OPTION', 'registered already'))
      await assert.rejects(b.keys.rotate(record.id, { overlapSeconds: 0 }, 'cli'), refused('VERIT_KEY_OPTION'))
      assert.equal((await b.keys.rotate(record.id, { overlapSeconds: 0, public: next }, 'cli'))?.credentialId, `${record.id}.2`)
      assert.equal(await a.keys.byId(`${record.id}.1`), undefined)
      assert.deepEqual(Buffer.from((await a.keys.byId(`${record.id}.2`))!.publicKey!), next)

      const { der, fingerprint } = makeCertificate({ subject: 'client', purpose: 'client' })
      const certified = await a.keys.create({ name: 'certificate', kind: 'certificate', public: der }, 'cli')
      assert.equal((await b.keys.byCertificate(fingerprint))?.id, certified.credentialId)
      for (const none of [record.credentials[0]!.fingerprint!, '', fingerprint.toUpperCase(), '0'.repeat(64)]) assert.equal(await b.keys.byCertificate(none), undefined)
      await a.keys.revoke(certified.record.id, 'cli')
      assert.equal(await b.keys.byCertificate(fingerprint), undefined)
      await assert.rejects(b.keys.create({ name: 'again', kind: 'certificate', public: der }, 'cli'), refused('VERIT_KEY_OPTION', certified.credentialId))
      const old = makeCertificate({ subject: 'old', from: new Date('2020-01-01'), to: new Date('2020-02-01') })
      await assert.rejects(b.keys.create({ name: 'old', kind: 'certificate', public: old.der }, 'cli'), refused('VERIT_KEY_OPTION', 'expired'))
      await assert.rejects(b.keys.create({ name: 'more', kind: 'certificate', public: Buffer.concat([der, Buffer.alloc(1)]) }, 'cli'), refused('VERIT_KEY_OPTION'))
    })

    test('each change leaves one event, with public facts only, and one gateway at a time takes it', async () => {
      await using stores = await two()
      const { a, b } = stores
      const { key, record: { id } } = await a.keys.create({ name: 'x', limits: { streams: 2 } }, 'cli')
      const rotated = await b.keys.rotate(id, { overlapSeconds: 60 }, 'key_admin')
      await a.keys.change(id, { name: 'y', limits: { streams: 2 }, models: ['m'], expires: undefined }, 'cli')
      await a.keys.change(id, { name: 'y' }, 'cli')
      await a.keys.revoke(id, 'cli')
      await a.keys.revoke(id, 'cli')
      await assert.rejects(a.outbox.drain(async () => { throw new Error('the log is full') }), /full/)
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
      assert.deepEqual(events.map(e => [e.type, e.actor]), [['key.create', 'cli'], ['key.rotate', 'key_admin'], ['key.change', 'cli'], ['key.revoke', 'cli']])
      assert.deepEqual(events[0]!.detail, {
        key: id, credential: `${id}.1`, kind: 'secret', name: 'x', owner: '', scopes: defaultScopes, models: [], addresses: [], signing: 'never', limits: { streams: 2 },
      })
      assert.deepEqual(events[2]!.detail, { key: id, before: { name: 'x', models: [] }, after: { name: 'y', models: ['m'] } })
      const text = JSON.stringify(events)
      for (const secret of [key!, rotated!.key!]) assert.ok(!text.includes(secret.slice(6, 49)))
      await b.keys.create({ name: 'z' }, 'cli')
      const later: OutboxEvent[] = []
      const handed = await Promise.all([b, a, b, a, b].map(store => store.outbox.drain(async some => void later.push(...some))))
      assert.equal(handed.reduce((n, one) => n + one), 1)
      assert.ok(later.length === 1 && later[0]!.id > events[3]!.id)
    })

    test('more events than are handed over at once all arrive, in order, from either gateway', async () => {
      await using stores = await two()
      const { a, b, at } = stores
      await at.query(`INSERT INTO verit_outbox (time, actor, type, detail) VALUES ${Array.from({ length: 301 }, (_, i) => `('t', 'cli', 'key.change', '{"n":${i}}')`).join()}`)
      const sizes: number[] = []
      const numbers: unknown[] = []
      while (await (sizes.length % 2 === 0 ? a : b).outbox.drain(async some => {
        sizes.push(some.length)
        numbers.push(...some.map(e => e.detail['n']))
      }) > 0);
      assert.deepEqual(sizes, [256, 45])
      assert.deepEqual(numbers, Array.from({ length: 301 }, (_, i) => i))
    })

    test('budgets are held to the token, over gateways, restarts and the ends of days', async () => {
      const at = await place(dialect)
      const [a, b] = [await at.open(), await at.open()]
      const { record: { id } } = await a.keys.create({ name: 'x' }, 'cli')
      const limits = { tokensPerDay: 100, tokensPerMonth: 150 }
      const evening = new Date('2026-11-29T23:59:59.999Z')
      const one = await a.budgets.reserve(id, 60, limits, evening)
      const reserved = (inDay: number, inMonth: number): object => ({ day: { used: 0, reserved: inDay }, month: { used: 0, reserved: inMonth } })
      assert.deepEqual(one, { ok: true, reservation: { keyId: id, tokens: 60, day: '2026-11-29', month: '2026-11' }, usage: reserved(60, 60) })
      assert.ok(one.ok)
      assert.deepEqual(await b.budgets.reserve(id, 41, limits, evening), { ok: false, window: 'day', left: 40, usage: reserved(60, 60) })
      assert.equal((await b.budgets.reserve(id, 40, limits, evening)).ok, true)
      const morning = new Date('2026-11-30T00:00:00Z')
      assert.deepEqual(await b.budgets.reserve(id, 51, limits, morning), { ok: false, window: 'month', left: 50, usage: reserved(0, 100) })
      await b.budgets.settle(one.reservation, 10)
      await b.budgets.settle(one.reservation, 10)
      assert.deepEqual(await a.budgets.usage(id, evening), { day: { used: 10, reserved: 40 }, month: { used: 10, reserved: 40 } })
      const more = await a.budgets.reserve(id, 100, limits, morning)
      assert.ok(more.ok)
      await a.budgets.settle(more.reservation, 1_000_000) // counts at most what was reserved
      assert.deepEqual(await b.budgets.usage(id, morning), { day: { used: 100, reserved: 0 }, month: { used: 110, reserved: 40 } })
      // a lower limit than what is used already
      assert.deepEqual((await b.budgets.reserve(id, 1, { tokensPerDay: 5 }, evening) as { left: number }).left, 0)
      assert.equal((await b.budgets.reserve(id, 0, {}, new Date('2026-12-01T00:00:00Z'))).ok, true)
      await Promise.all([a.close(), b.close()])
      const again = await at.open()
      assert.deepEqual(await again.budgets.usage(id, evening), { day: { used: 10, reserved: 40 }, month: { used: 110, reserved: 40 } })
      assert.deepEqual(await again.budgets.usage('key_none', evening), { day: { used: 0, reserved: 0 }, month: { used: 0, reserved: 0 } })
      await again.close()
    })

    test('under random reservations and ends on two gateways at once no budget is overshot and every token is accounted for', async () => {
      await using stores = await two()
      const ids = await Promise.all(['x', 'y'].map(async name => (await stores.a.keys.create({ name }, 'cli')).record.id))
      const day = new Date('2026-11-22T12:00:00Z')
      const LIMIT = 1000
      const open: { reservation: Reservation }[] = []
      const model = new Map(ids.map(id => [id, { used: 0, reserved: 0 }]))
      const step = fc.record({ gateway: fc.nat(1), key: fc.nat(1), tokens: fc.integer({ min: 1, max: 120 }), end: fc.boolean(), share: fc.integer({ min: 0, max: 300 }) })
      await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async steps => {
        await Promise.all(steps.map(async ({ gateway, key, tokens, end, share }) => {
          const store = gateway === 0 ? stores.a : stores.b
          const id = ids[key]!
          const counts = model.get(id)!
          if (end && open.length > 0) {
            const { reservation } = open.splice(share % open.length, 1)[0]!
            const of = model.get(reservation.keyId)!
            await store.budgets.settle(reservation, share)
            of.reserved -= reservation.tokens
            of.used += Math.min(share, reservation.tokens)
            return
          }
          const answer = await store.budgets.reserve(id, tokens, { tokensPerDay: LIMIT }, day)
          const { used, reserved } = answer.usage.day
          assert.ok(used + reserved <= LIMIT)
          if (!answer.ok) {
            assert.equal(answer.left, LIMIT - used - reserved)
            assert.ok(answer.left < tokens)
            return
          }
          counts.reserved += tokens
          open.push({ reservation: answer.reservation })
        }))
        for (const id of ids) {
          const { day: usage, month } = await stores.b.budgets.usage(id, day)
          assert.deepEqual(usage, model.get(id))
          assert.deepEqual(month, usage)
        }
      }), { numRuns: 25 })
    })

    test('a thousand reservations at once over two gateways grant what the budget holds, and not one more', async () => {
      await using stores = await two()
      const { record: { id } } = await stores.a.keys.create({ name: 'x' }, 'cli')
      const now = new Date()
      const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => (i % 2 === 0 ? stores.a : stores.b).budgets.reserve(id, 7, { tokensPerMonth: 3000 }, now)))
      assert.equal(answers.filter(answer => answer.ok).length, Math.floor(3000 / 7))
      assert.deepEqual((await stores.b.budgets.usage(id, now)).month, { used: 0, reserved: 7 * Math.floor(3000 / 7) })
    })

    test('tokens counted and uses noted lazily are written in the end', async () => {
      const at = await place(dialect)
      const store = await at.open()
      const { record: { id } } = await store.keys.create({ name: 'x' }, 'cli')
      const when = new Date('2026-11-22T12:34:56Z')
      await store.budgets.count(id, 5, when)
      await store.budgets.count(id, 6, when)
      assert.deepEqual((await store.budgets.usage(id, when)).day, { used: 11, reserved: 0 })
      await store.budgets.count(id, 1, when)
      await store.keys.touch([id, 'key_none'], when)
      await store.keys.touch([id], new Date('2026-11-22T12:33:00Z'))
      await store.close()
      const again = await at.open()
      assert.deepEqual((await again.budgets.usage(id, when)).month, { used: 12, reserved: 0 })
      assert.equal((await again.keys.get(id))?.lastUsed, '2026-11-22T12:34:00.000Z')
      await again.close()
    })

    test('a nonce is new once for each credential, over gateways and restarts, until it has long expired', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date'], now })
      const at = await place(dialect)
      const [a, b] = [await at.open(), await at.open()]
      const expires = now + 60_000
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? a : b).replay.use(C1, `n${i % 4}`, expires)))
      assert.equal(answers.filter(first => first).length, 4)
      assert.deepEqual(await Promise.all([b.replay.use(C1, 'n0', expires), b.replay.use(C2, 'n0', expires), b.replay.use(C1, 'N0', expires)]), [false, true, true])
      await Promise.all([a.close(), b.close()])
      const again = await at.open()
      assert.equal(await again.replay.use(C1, 'n1', expires), false)
      context.mock.timers.setTime(expires + 30_000)
      assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), false)
      context.mock.timers.setTime(expires + 60_001)
      assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), true)
      assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), false)
      await again.close()
    })

    test('a gateway with another secret is refused, and so is one that has lost it', async () => {
      const at = await place(dialect)
      const store = await at.open()
      await store.keys.create({ name: 'x' }, 'cli')
      await store.close()
      writeFileSync(join(at.stateFolder, 'secret'), Buffer.alloc(32, 7))
      await assert.rejects(at.open(), refused('VERIT_STATE', 'another secret'))
      rmSync(join(at.stateFolder, 'secret'))
      await assert.rejects(at.open(), refused('VERIT_STATE', 'missing'))
      await assert.rejects(at.open(), refused('VERIT_STATE', 'missing')) // and none was made
    })

    test('nothing in the database is a key, or opens with less than the secret', async () => {
      await using stores = await two()
      const { a, at } = stores
      const { key, record } = await a.keys.create({ name: 'x', signing: 'required' }, 'cli')
      const rows = await Promise.all(['key', 'credential', 'outbox', 'meta', 'budget', 'nonce'].map(table => at.query(`SELECT * FROM verit_${table}`)))
      const bytes = Buffer.concat(rows.flat().flatMap(row => Object.values(row).map(v => (v instanceof Uint8Array ? Buffer.from(v) : Buffer.from(String(v))))))
      assert.ok(bytes.includes(record.id))
      for (const secret of [Buffer.from(key!), Buffer.from(key!.slice(6, 49)), signingSecret(key!)]) assert.equal(bytes.includes(secret), false)
    })

    test('a store that cannot be read rejects and does not say that there is no such key; its errors hold no values', async () => {
      const at = await place(dialect)
      const store = await at.open()
      const { key, record } = await store.keys.create({ name: 'x' }, 'cli')
      await at.query(`UPDATE verit_key SET limits = '{"streams": "many"}' WHERE id = '${record.id}'`)
      await assert.rejects(store.keys.bySecret(key!), refused('VERIT_STATE', record.id))
      await assert.rejects(store.keys.revoke(record.id, 'cli'), refused('VERIT_STATE', record.id))
      assert.equal(await store.keys.bySecret(key!), undefined) // revoked all the same
      await at.query('ALTER TABLE verit_credential RENAME TO elsewhere')
      const hidden = (e: unknown): boolean =>
        VeritError.is(e, 'VERIT_STORE') && !`${e.message}${JSON.stringify(e.cause)}`.includes(key!.slice(6, 20)) && !e.message.includes('postgresql://')
      await assert.rejects(store.keys.bySecret(key!), hidden)
      await assert.rejects(store.keys.byId(`${record.id}.1`), hidden)
      await assert.rejects(store.keys.create({ name: 'secret name' }, 'cli'), e => hidden(e) && !(e as Error).message.includes('secret name'))
      await store.close()
      for (const call of [() => store.keys.bySecret(key!), () => store.keys.bySecret('no key'), () => store.keys.list(), () => store.budgets.reserve('k', 1, {}, new Date()),
        () => store.replay.use(C1, 'n', 1), () => store.outbox.pending()]) {
        await assert.rejects(call, refused('VERIT_STORE', 'closed'))
      }
      await store.close()
    })

    test('a database of a newer version is refused and left as it is', async () => {
      const at = await place(dialect)
      await (await at.open()).close()
      await at.query(dialect === 'sqlite' ? 'PRAGMA user_version = 99' : 'UPDATE verit_schema SET version = 99')
      await assert.rejects(at.open(), refused('VERIT_STATE', 'newer'))
      const [row] = await at.query(dialect === 'sqlite' ? 'PRAGMA user_version' : 'SELECT version FROM verit_schema')
      assert.deepEqual(Object.values(row!).map(Number), [99])
    })

    test('a nonce that was deleted is not new again when the clock goes back, at any gateway', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date', 'setInterval'], now })
      await using stores = await two()
      const { a, b, at } = stores
      const expires = now + 61_000
      assert.equal(await a.replay.use(C1, 'recorded', expires), true)
      assert.equal(await a.replay.use(C1, 'recorded', expires), false)
      context.mock.timers.setTime(now + 5 * MINUTE)
      context.mock.timers.tick(MINUTE)
      const kept = (): Promise<unknown[]> => at.query('SELECT nonce FROM verit_nonce')
      for (let i = 0; i < 1000 && (await kept()).length > 0; i++);
      assert.equal((await kept()).length, 0, 'it was deleted')
      context.mock.timers.setTime(now + 30_000)
      const third = await at.open()
      for (const store of [a, b, third]) {
        assert.equal(await store.replay.use(C1, 'recorded', expires), false)
        assert.ok(store.clock.behind() > 4 * MINUTE)
      }
      await third.close()
    })

    test('keys, overlaps and budgets that are over stay so when the clock goes back, over restarts', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date'], now })
      const at = await place(dialect)
      const store = await at.open()
      const short = await store.keys.create({ name: 'short', expires: new Date(now + MINUTE).toISOString() }, 'cli')
      const long = await store.keys.create({ name: 'long' }, 'cli')
      await store.keys.rotate(long.record.id, { overlapSeconds: 60 }, 'cli')
      const works = async (s: Store): Promise<boolean[]> =>
        Promise.all([short, long].map(async k => await s.keys.bySecret(k.key!) !== undefined))
      assert.deepEqual(await works(store), [true, true])
      context.mock.timers.setTime(now + DAY)
      const tomorrow = store.clock.now()
      assert.deepEqual(await works(store), [false, false])
      const budget = { tokensPerDay: 5 }
      assert.equal((await store.budgets.reserve(long.record.id, 5, budget, tomorrow)).ok, true)
      context.mock.timers.setTime(now)
      assert.equal((await store.budgets.reserve(long.record.id, 1, budget, store.clock.now())).ok, false)
      assert.deepEqual([await works(store), store.clock.now()], [[false, false], tomorrow])
      await store.close()
      const again = await at.open()
      assert.deepEqual([await works(again), again.clock.now(), again.clock.behind()], [[false, false], tomorrow, DAY])
      assert.equal((await again.keys.valid([short.record.id])).size, 0)
      await again.close()
    })

    test('a command that only looks moves no time; an operator can set the time back, with an event', async context => {
      const now = Date.now()
      context.mock.timers.enable({ apis: ['Date'], now })
      await using stores = await two()
      const { a, b, at } = stores
      const key = await a.keys.create({ name: 'x', expires: new Date(now + DAY).toISOString() }, 'cli')
      await a.outbox.drain(async () => {})
      assert.equal(await a.clock.accept('cli'), undefined)
      const year = now + 365 * DAY
      context.mock.timers.setTime(year)
      const looking = await openStore({ stateFolder: at.stateFolder, databaseUrl: at.databaseUrl, keepTime: false })
      assert.equal(await looking.keys.bySecret(key.key!), undefined)
      await looking.close()
      context.mock.timers.setTime(now)
      assert.ok(await b.keys.bySecret(key.key!))
      context.mock.timers.setTime(year)
      const ahead = await at.open()
      assert.equal(await ahead.keys.bySecret(key.key!), undefined)
      await ahead.close()
      context.mock.timers.setTime(now + MINUTE)
      await b.replay.use(C1, 'n', now + 2 * MINUTE) // learns the time
      assert.equal(await b.keys.bySecret(key.key!), undefined)
      assert.deepEqual(await a.clock.accept('cli'), { before: new Date(year), after: new Date(now + MINUTE) })
      assert.equal(await b.replay.use(C1, 'm', now + 2 * MINUTE), true)
      for (const store of [a, b]) {
        assert.ok(await store.keys.bySecret(key.key!))
        assert.deepEqual([store.clock.behind(), store.clock.accepted()], [0, now + MINUTE])
      }
      const events: OutboxEvent[] = []
      await a.outbox.drain(async all => void events.push(...all))
      const detail = { before: new Date(year).toISOString(), after: new Date(now + MINUTE).toISOString() }
      assert.deepEqual(events.map(e => [e.type, e.actor, e.detail]), [['clock.accept', 'cli', detail]])
    })

    test('what a gateway remembers of its audit log survives a restart, apart from what others remember', async () => {
      const at = await place(dialect)
      const a = await at.open()
      const [since, until] = ['2026-11-22T10:00:00.000Z', '2026-11-22T11:00:00.000Z']
      const period = { since, until, reason: 'x', requests: 1, tokens: 2 }
      const log = { key: 'verit.example/a+00000000+AQ==', checkpoint: 'signed\n' }
      const all = ({ evidence }: Store): Promise<unknown[]> =>
        Promise.all([evidence.unaudited(), evidence.lastLog(), evidence.checkpoint(log.key)])
      assert.deepEqual(await all(a), [undefined, undefined, undefined])
      await a.evidence.saveUnaudited(period, true)
      await a.evidence.saveCheckpoint(log)
      await a.close()
      const again = await at.open()
      assert.deepEqual(await all(again), [period, log, log.checkpoint])
      if (dialect === 'postgresql') {
        const stateFolder = join(dir, `s${folders++}`)
        mkdirSync(stateFolder, { mode: 0o700 })
        cpSync(join(at.stateFolder, 'secret'), join(stateFolder, 'secret'))
        const other = await openStore({ stateFolder, databaseUrl: at.databaseUrl })
        assert.deepEqual(await all(other), [undefined, undefined, log.checkpoint])
        await other.evidence.forgetUnaudited()
        await other.close()
      }
      assert.deepEqual(await again.evidence.unaudited(), period)
      await again.evidence.forgetUnaudited()
      assert.equal(await again.evidence.unaudited(), undefined)
      const zero = dialect === 'sqlite' ? "X'00'" : "'\\x00'"
      await at.query(`UPDATE verit_meta SET value = ${zero} WHERE name LIKE 'audit-checkpoint:%'`)
      await assert.rejects(again.evidence.checkpoint(log.key), refused('VERIT_STATE', 'damaged'))
      await again.close()
    })

    test('whether a store would open is told without making or changing anything', async () => {
      const at = await place(dialect)
      const peek = async (stateFolder = at.stateFolder): Promise<boolean> => {
        let seen = false
        await peekStore({ stateFolder, databaseUrl: at.databaseUrl }, async () => void (seen = true))
        return seen
      }
      assert.deepEqual([await peek(), existsSync(at.stateFolder)], [false, false], 'nothing is there')
      await (await at.open()).close()
      const files = readdirSync(at.stateFolder)
      assert.deepEqual([await peek(), readdirSync(at.stateFolder)], [true, files])
      const store = await at.open()
      assert.equal(await peek(), true, 'beside a server')
      await store.close()
      const elsewhere = join(dir, `s${folders++}`)
      if (dialect === 'postgresql') await assert.rejects(peek(elsewhere), refused('VERIT_STATE', 'missing'))
      await at.query(dialect === 'sqlite' ? 'PRAGMA user_version = 1' : 'UPDATE verit_schema SET version = 1')
      assert.equal(await peek(), false, 'of an older version: the start brings it up to date')
      await at.query(dialect === 'sqlite' ? 'PRAGMA user_version = 99' : 'UPDATE verit_schema SET version = 99')
      await assert.rejects(peek(), refused('VERIT_STATE', 'newer'))
      await at.query(dialect === 'sqlite' ? 'PRAGMA user_version = 2' : 'UPDATE verit_schema SET version = 2')
      writeFileSync(join(at.stateFolder, 'secret'), Buffer.alloc(32, 7))
      await assert.rejects(peek(), refused('VERIT_STATE', 'another secret'))
      rmSync(join(at.stateFolder, 'secret'))
      await assert.rejects(peek(), refused('VERIT_STATE', 'missing'))
    })

    test('a lease that a clock far ahead has taken is free once the clock is right', async () => {
      const at = await place(dialect)
      const store = await at.open()
      await store.keys.create({ name: 'x' }, 'cli')
      await at.query(`INSERT INTO verit_lease VALUES ('outbox', 'somebody', ${Date.now() + 365 * DAY})`)
      assert.equal(await store.outbox.drain(async () => {}), 1)
      await at.query('DELETE FROM verit_lease')
      await store.keys.create({ name: 'y' }, 'cli')
      await at.query(`INSERT INTO verit_lease VALUES ('outbox', 'somebody', ${Date.now() + 30_000})`)
      assert.equal(await store.outbox.drain(async () => {}), 0)
      await store.close()
    })

    test('expired nonces and windows of more than 13 months ago are deleted, by one gateway for all', async context => {
      context.mock.timers.enable({ apis: ['Date', 'setInterval'], now: new Date('2026-11-22T12:00:00Z') })
      await using stores = await two()
      const { a, b, at } = stores
      for (const [nonce, expires] of [['old', Date.now() - 3 * MINUTE], ['young', Date.now() + MINUTE]] as const) await a.replay.use(C1, nonce, expires)
      for (const day of ['2025-09-30', '2025-10-01', '2026-11-22']) await b.budgets.reserve('key_x', 1, {}, new Date(`${day}T00:00:00Z`))
      context.mock.timers.tick(MINUTE)
      mock.timers.reset()
      for (let i = 0; i < 200 && (await at.query('SELECT nonce FROM verit_nonce')).length > 1; i++);
      assert.deepEqual(await at.query('SELECT nonce FROM verit_nonce').then(rows => rows.map(row => row['nonce'])), ['young'])
      for (let i = 0; i < 200 && (await at.query('SELECT period FROM verit_budget')).length > 4; i++);
      assert.deepEqual((await at.query('SELECT period FROM verit_budget ORDER BY period')).map(row => row['period']), ['2025-10', '2025-10-01', '2026-11', '2026-11-22'])
    })
  })
}
