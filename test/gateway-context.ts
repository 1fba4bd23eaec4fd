/**
 * What a gateway needs, real but for a model, for tests that speak to it without one: store, rates and audit log in a
 * folder of their own.
 */
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { openAuditLog } from '../src/audit/audit-log.ts'
import type { FolderAuditLog } from '../src/audit/audit-log.ts'
import { createLog } from '../src/lib/log.ts'
import { Admission } from '../src/server/admission.ts'
import { defaultConfig } from '../src/server/config.ts'
import type { ServerConfig } from '../src/server/config.ts'
import { createTransport } from '../src/server/connections.ts'
import type { Transport } from '../src/server/connections.ts'
import type { GatewayContext } from '../src/server/context.ts'
import { buildGateway } from '../src/server/gateway.ts'
import { HeldAnswers } from '../src/server/held-answers.ts'
import { httpRules } from '../src/server/http-checks.ts'
import { Metrics } from '../src/server/metrics.ts'
import { OutboxDrain } from '../src/server/outbox-drain.ts'
import { Refusals } from '../src/server/refusals.ts'
import { Revocations } from '../src/server/revocations.ts'
import { serverKey } from '../src/server/server-key.ts'
import { MemoryRateState } from '../src/store/memory-rate-state.ts'
import { openStore } from '../src/store/open-store.ts'

export interface TestGateway {
  app: FastifyInstance
  context: GatewayContext
  audit: FolderAuditLog
  transport: Transport
  /** Lines of its log. */
  lines: string[]
  close(): Promise<void>
}

/** @param change edits the default configuration */
export async function testGateway(
  state: string,
  change: (config: ServerConfig) => void = () => undefined
): Promise<TestGateway> {
  const config = defaultConfig()
  change(config)
  const lines: string[] = []
  const log = createLog({ json: true, stream: { write: line => lines.push(line) } })
  const store = await openStore({ stateFolder: state })
  const audit = await openAuditLog(join(state, 'audit'), { log })
  const outbox = new OutboxDrain(store.outbox, audit, log)
  const { failuresPerMinute, allFailuresPerMinute } = config.addresses
  const refusals = new Refusals(
    { perSource: failuresPerMinute, all: allFailuresPerMinute },
    entry => audit.append(entry),
    log
  )
  const transport = createTransport(config, log)
  const context: GatewayContext = {
    config,
    rules: httpRules(config),
    store,
    rates: new MemoryRateState(),
    audit,
    watch: undefined,
    metrics: new Metrics(),
    refusals,
    log,
    modelId: 'm',
    model: undefined,
    admission: new Admission({ parallel: 1, queue: 1 }),
    heldAnswers: new HeldAnswers(),
    revocations: new Revocations(store.keys),
    serverKey: serverKey(state),
    drainOutbox: () => outbox.drain(),
    onAlerts: () => undefined,
    stopping: new AbortController().signal
  }
  const app = buildGateway(context, transport)
  return {
    app,
    context,
    audit,
    transport,
    lines,
    close: async () => {
      await app.close()
      transport.close()
      await outbox.close()
      await refusals.close()
      await audit.close()
      await store.close()
    }
  }
}
