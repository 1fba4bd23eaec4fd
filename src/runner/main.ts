/**
 * The model process. It is given two open descriptors and nothing else: 3, a socket to the gateway, and 4, the model file, whose digest the gateway
 * has checked. It has an empty environment, locks itself (sandbox.ts) before it reads a byte of the file, and ends when the gateway does: signals that
 * a terminal or a service manager sends to both are the gateway's to follow, so that answers under way can end.
 */
import { Socket } from 'node:net'
import { loadModel } from '../engine/load.ts'
import { processors } from '../exec/processors.ts'
import type { Digest } from '../trust/digest.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { memoryCeiling } from './memory-ceiling.ts'
import { lockProcess } from './sandbox.ts'
import { serveEngine } from './serve-engine.ts'

const GATEWAY = 3
const MODEL = 4

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

await serveEngine(new Socket({ fd: GATEWAY, readable: true, writable: true }), ({ name, threads, context, slots, cacheBytes, instructionSet, memoryBytes, digest }) => {
  const file = new RegularFile(MODEL, name, false)
  const cores = processors().threads // read from files, which the lock hides
  const sandbox = lockProcess({ memoryBytes: memoryBytes ?? memoryCeiling(file.size, { cacheBytes, context }) })
  const count = threads ?? (process.env.VERIT_THREADS === undefined ? cores : undefined)
  return { sandbox, load: () => loadModel(file, { threads: count, context, slots, cacheBytes, memoryBytes, instructionSet, digest: digest as Digest | undefined }) }
})
process.exit(0)
