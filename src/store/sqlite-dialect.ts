/**
 * Kysely over node:sqlite, which runs in this thread: a query is done when its call returns. Transactions take the
 * write lock when they begin, so that none fails half way because another process wrote in between.
 */
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import { CompiledQuery, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type {
  DatabaseConnection,
  DatabaseIntrospector,
  Dialect,
  DialectAdapter,
  Driver,
  Kysely,
  QueryCompiler,
  QueryResult
} from 'kysely'
import { VeritError } from '../lib/errors.ts'

const STATEMENTS = 128

class Connection implements DatabaseConnection {
  readonly database: DatabaseSync
  /** Prepared statements by text, least recently used first. */
  #statements = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.database = database
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#prepare(query.sql)
    const parameters = query.parameters as readonly SQLInputValue[]
    if (statement.columns().length > 0) return { rows: statement.all(...parameters) as R[] }
    const { changes } = statement.run(...parameters)
    return { rows: [], numAffectedRows: BigInt(changes) }
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new VeritError('VERIT_INTERNAL', { problem: 'the store does not stream' })
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    const statement = known ?? this.database.prepare(sql)
    this.#statements.delete(sql)
    this.#statements.set(sql, statement)
    if (this.#statements.size > STATEMENTS) this.#statements.delete(this.#statements.keys().next().value!)
    return statement
  }
}

class NodeSqliteDriver implements Driver {
  #connection: Connection

  constructor(database: DatabaseSync) {
    this.#connection = new Connection(database)
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }

  async beginTransaction(): Promise<void> {
    this.#connection.database.exec('BEGIN IMMEDIATE')
  }

  async commitTransaction(): Promise<void> {
    this.#connection.database.exec('COMMIT')
  }

  async rollbackTransaction(): Promise<void> {
    // a failure such as a full disk has ended the transaction already
    if (this.#connection.database.isTransaction) this.#connection.database.exec('ROLLBACK')
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#connection.database.close()
  }
}

export class NodeSqliteDialect implements Dialect {
  #database: DatabaseSync

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  createDriver(): Driver {
    return new NodeSqliteDriver(this.#database)
  }

  createAdapter(): DialectAdapter {
    return new SqliteAdapter()
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db)
  }
}
