/** Budgets, clocks and secrets of the store, over both databases. Two stores on one database stand for two gateways. */
// own process: it runs for long
// long: it writes each step to disk
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, mock, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../src/lib/errors.ts'
import { openStore, peekStore } from '../src/store/open-store.ts'
import type { OutboxEvent, Reservation, Store } from '../src/store/store.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { C1, C2, DAY, MINUTE, dialects, dir, place, refused, two } from './stores.ts'

for (const dialect of dialects) {
  describe(dialect, () => {
    test('budgets are held to the token, over gateways, restarts and the ends of days', async () => {
      const at = await place(dialect)
      const [a, b] = [await at.open(), await at.open()]
      const {
        record: { id }
      } = await a.keys.create({ name: 'x' }, 'cli')
      const limits = { tokensPerDay: 100, tokensPerMonth: 150 }
      const evening = new Date('2026-11-29T23:59:59.999Z')
      const one = await a.budgets.reserve(id, 60, limits, evening)
      const reserved = (inDay: number, inMonth: number): object => ({
        day: { used: 0, reserved: inDay },
        month: { used: 0, reserved: inMonth }
      })
      assert.deepEqual(one, {
        ok: true,
        reservation: { keyId: id, tokens: 60, day: '2026-11-29', month: '2026-11' },
        usage: reserved(60, 60)
      })
      assert.ok(one.ok)
      assert.deepEqual(await b.budgets.reserve(id, 41, limits, evening), {
        ok: false,
        window: 'day',
        left: 40,
        usage: reserved(60, 60)
      })
      assert.equal((await b.budgets.reserve(id, 40, limits, evening)).ok, true)
      const morning = new Date('2026-11-30T00:00:00Z')
      assert.deepEqual(await b.budgets.reserve(id, 51, limits, morning), {
        ok: false,
        window: 'month',
        left: 50,
        usage: reserved(0, 100)
      })
      await b.budgets.settle(one.reservation, 10)
      await b.budgets.settle(one.reservation, 10)
      assert.deepEqual(await a.budgets.usage(id, evening), {
        day: { used: 10, reserved: 40 },
        month: { used: 10, reserved: 40 }
      })
      const more = await a.budgets.reserve(id, 100, limits, morning)
      assert.ok(more.ok)
      await a.budgets.settle(more.reservation, 1_000_000) // counts at most what was reserved
      assert.deepEqual(await b.budgets.usage(id, morning), {
        day: { used: 100, reserved: 0 },
        month: { used: 110, reserved: 40 }
      })
      // a lower limit than what is used already
      assert.deepEqual(((await b.budgets.reserve(id, 1, { tokensPerDay: 5 }, evening)) as { left: number }).left, 0)
      assert.equal((await b.budgets.reserve(id, 0, {}, new Date('2026-12-01T00:00:00Z'))).ok, true)
      await Promise.all([a.close(), b.close()])
      const again = await at.open()
      assert.deepEqual(await again.budgets.usage(id, evening), {
        day: { used: 10, reserved: 40 },
        month: { used: 110, reserved: 40 }
      })
      assert.deepEqual(await again.budgets.usage('key_none', evening), {
        day: { used: 0, reserved: 0 },
        month: { used: 0, reserved: 0 }
      })
      await again.close()
    })

    test(
      'under random reservations and ends on two gateways at once no budget is overshot and every token is ' +
        'accounted for',
      async () => {
        await using stores = await two(dialect)
        const ids = await Promise.all(
          ['x', 'y'].map(async name => (await stores.a.keys.create({ name }, 'cli')).record.id)
        )
        const day = new Date('2026-11-22T12:00:00Z')
        const LIMIT = 1000
        const open: { reservation: Reservation }[] = []
        const model = new Map(ids.map(id => [id, { used: 0, reserved: 0 }]))
        const step = fc.record({
          gateway: fc.nat(1),
          key: fc.nat(1),
          tokens: fc.integer({ min: 1, max: 120 }),
          end: fc.boolean(),
          share: fc.integer({ min: 0, max: 300 })
        })
        await fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async steps => {
            await Promise.all(
              steps.map(async ({ gateway, key, tokens, end, share }) => {
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
              })
            )
            for (const id of ids) {
              const { day: usage, month } = await stores.b.budgets.usage(id, day)
              assert.deepEqual(usage, model.get(id))
              assert.deepEqual(month, usage)
            }
          }),
          { numRuns: 25 }
        )
      }
    )

    test('a thousand reservations at once over two gateways grant exactly what the budget holds', async () => {
      await using stores = await two(dialect)
      const {
        record: { id }
      } = await stores.a.keys.create({ name: 'x' }, 'cli')
      const now = new Date()
      const answers = await Promise.all(
        Array.from({ length: 1000 }, (_, i) =>
          (i % 2 === 0 ? stores.a : stores.b).budgets.reserve(id, 7, { tokensPerMonth: 3000 }, now)
        )
      )
      assert.equal(answers.filter(answer => answer.ok).length, Math.floor(3000 / 7))
      assert.deepEqual((await stores.b.budgets.usage(id, now)).month, { used: 0, reserved: 7 * Math.floor(3000 / 7) })
    })

    test('tokens counted and uses noted lazily are written in the end', async () => {
      const at = await place(dialect)
      const store = await at.open()
      const {
        record: { id }
      } = await store.keys.create({ name: 'x' }, 'cli')
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

    test(
      'a nonce is new once for each credential, over gateways and restarts, until it has long ' + 'expired',
      async context => {
        const now = Date.now()
        context.mock.timers.enable({ apis: ['Date'], now })
        const at = await place(dialect)
        const [a, b] = [await at.open(), await at.open()]
        const expires = now + 60_000
        const answers = await Promise.all(
          Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? a : b).replay.use(C1, `n${i % 4}`, expires))
        )
        assert.equal(answers.filter(first => first).length, 4)
        assert.deepEqual(
          await Promise.all([
            b.replay.use(C1, 'n0', expires),
            b.replay.use(C2, 'n0', expires),
            b.replay.use(C1, 'N0', expires)
          ]),
          [false, true, true]
        )
        await Promise.all([a.close(), b.close()])
        const again = await at.open()
        assert.equal(await again.replay.use(C1, 'n1', expires), false)
        context.mock.timers.setTime(expires + 30_000)
        assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), false)
        context.mock.timers.setTime(expires + 60_001)
        assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), true)
        assert.equal(await again.replay.use(C1, 'n1', expires + 90_000), false)
        await again.close()
      }
    )

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
      await using stores = await two(dialect)
      const { a, at } = stores
      const { key, record } = await a.keys.create({ name: 'x', signing: 'required' }, 'cli')
      const rows = await Promise.all(
        ['key', 'credential', 'outbox', 'meta', 'budget', 'nonce'].map(table =>
          at.query(`SELECT * FROM verit_${table}`)
        )
      )
      const bytes = Buffer.concat(
        rows
          .flat()
          .flatMap(row =>
            Object.values(row).map(v => (v instanceof Uint8Array ? Buffer.from(v) : Buffer.from(String(v))))
          )
      )
      assert.ok(bytes.includes(record.id))
      for (const secret of [Buffer.from(key!), Buffer.from(key!.slice(6, 49)), signingSecret(key!)])
        assert.equal(bytes.includes(secret), false)
    })

    test('a store that cannot be read rejects, does not answer "no such key", and its errors hold no values', async () => {
      const at = await place(dialect)
      const store = await at.open()
      const { key, record } = await store.keys.create({ name: 'x' }, 'cli')
      await at.query(`UPDATE verit_key SET limits = '{"streams": "many"}' WHERE id = '${record.id}'`)
      await assert.rejects(store.keys.bySecret(key!), refused('VERIT_STATE', record.id))
      await assert.rejects(store.keys.revoke(record.id, 'cli'), refused('VERIT_STATE', record.id))
      assert.equal(await store.keys.bySecret(key!), undefined) // revoked all the same
      await at.query('ALTER TABLE verit_credential RENAME TO elsewhere')
      const hidden = (e: unknown): boolean =>
        VeritError.is(e, 'VERIT_STORE') &&
        !`${e.message}${JSON.stringify(e.cause)}`.includes(key!.slice(6, 20)) &&
        !e.message.includes('postgresql://')
      await assert.rejects(store.keys.bySecret(key!), hidden)
      await assert.rejects(store.keys.byId(`${record.id}.1`), hidden)
      await assert.rejects(
        store.keys.create({ name: 'secret name' }, 'cli'),
        e => hidden(e) && !(e as Error).message.includes('secret name')
      )
      await store.close()
      for (const call of [
        () => store.keys.bySecret(key!),
        () => store.keys.bySecret('no key'),
        () => store.keys.list(),
        () => store.budgets.reserve('k', 1, {}, new Date()),
        () => store.replay.use(C1, 'n', 1),
        () => store.outbox.pending()
      ]) {
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
      await using stores = await two(dialect)
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
        Promise.all([short, long].map(async k => (await s.keys.bySecret(k.key!)) !== undefined))
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
      await using stores = await two(dialect)
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
      assert.deepEqual(
        events.map(e => [e.type, e.actor, e.detail]),
        [['clock.accept', 'cli', detail]]
      )
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
        const stateFolder = join(dir, `s${randomUUID()}`)
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
      const elsewhere = join(dir, `s${randomUUID()}`)
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
      await using stores = await two(dialect)
      const { a, b, at } = stores
      for (const [nonce, expires] of [
        ['old', Date.now() - 3 * MINUTE],
        ['young', Date.now() + MINUTE]
      ] as const)
        await a.replay.use(C1, nonce, expires)
      for (const day of ['2025-09-30', '2025-10-01', '2026-11-22'])
        await b.budgets.reserve('key_x', 1, {}, new Date(`${day}T00:00:00Z`))
      context.mock.timers.tick(MINUTE)
      mock.timers.reset()
      for (let i = 0; i < 200 && (await at.query('SELECT nonce FROM verit_nonce')).length > 1; i++);
      assert.deepEqual(await at.query('SELECT nonce FROM verit_nonce').then(rows => rows.map(row => row['nonce'])), [
        'young'
      ])
      for (let i = 0; i < 200 && (await at.query('SELECT period FROM verit_budget')).length > 4; i++);
      assert.deepEqual(
        (await at.query('SELECT period FROM verit_budget ORDER BY period')).map(row => row['period']),
        ['2025-10', '2025-10-01', '2026-11', '2026-11-22']
      )
    })
  })
}
