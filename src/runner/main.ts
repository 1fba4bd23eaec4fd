/**
 * The model process. It is given two open descriptors and nothing else: 3, a socket to the gateway, and 4, the model file, whose digest the gateway
 * has checked. It opens no path of its own accord, has an empty environment, and ends when the gateway does.
 */
import { Socket } from 'node:net'
import { loadModel } from '../engine/load.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { serveEngine } from './serve-engine.ts'

const GATEWAY = 3
const MODEL = 4

await serveEngine(new Socket({ fd: GATEWAY, readable: true, writable: true }), ({ name, threads, context, slots, instructionSet }) =>
  loadModel(new RegularFile(MODEL, name, false), { threads, context, slots, instructionSet }))
process.exit(0)
