/**
 * The model process. It is given two open descriptors and nothing else: 3, a socket to the gateway, and 4, the model file, whose digest the gateway
 * has checked. It opens no path of its own accord, has an empty environment, and ends when the gateway does: signals that a terminal or a service
 * manager sends to both are the gateway's to follow, so that answers under way can end.
 */
import { Socket } from 'node:net'
import { loadModel } from '../engine/load.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { serveEngine } from './serve-engine.ts'

const GATEWAY = 3
const MODEL = 4

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

await serveEngine(new Socket({ fd: GATEWAY, readable: true, writable: true }), ({ name, threads, context, slots, instructionSet }) =>
  loadModel(new RegularFile(MODEL, name, false), { threads, context, slots, instructionSet }))
process.exit(0)
