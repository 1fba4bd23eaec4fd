/** Strangers who hold connections: as many as they are let, each opened again as soon as it is ended. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What is done on each connection: questions that need no key, nothing at all, or headers that never end. */
export type Hold = 'health' | 'silent' | 'headers'

export interface Held extends Disposable {
  /** Connections that are open now. */
  readonly open: number
}

/** Time between two signs of life, in ms: less than any limit of idleness or headers that the tests set. */
const SIGN_MS = 800
/** Before a connection that was ended is opened again: one process holds both ends of a thousand of them here. */
const REOPEN_MS = 100

/** Holds `each` connections from each of `addresses` loopback addresses. */
export function hold(port: number, addresses: number, each: number, how: Hold): Held {
  const sockets = new Set<Socket>()
  let ended = false
  const keep = (localAddress: string): void => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined)
    const ask = (): unknown =>
      socket.writable &&
      how !== 'silent' &&
      socket.write(how === 'health' ? 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n' : 'X: y\r\n')
    if (how === 'headers') socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n')
    socket.once('connect', ask).resume()
    const timer = setInterval(ask, SIGN_MS)
    sockets.add(socket)
    socket.once('close', () => {
      clearInterval(timer)
      sockets.delete(socket)
      if (!ended) void sleep(REOPEN_MS).then(() => ended || keep(localAddress))
    })
  }
  for (let i = 0; i < addresses; i++) for (let j = 0; j < each; j++) keep(`127.0.0.${10 + i}`)
  return {
    get open() {
      return sockets.size
    },
    [Symbol.dispose]: () => {
      ended = true
      for (const socket of sockets) socket.destroy()
    }
  }
}

/** `node hold.ts PORT ADDRESSES EACH HOW`: a process of its own, which ends with its standard input. */
if (import.meta.main) {
  const [port, addresses, each, how] = process.argv.slice(2)
  const held = hold(Number(port), Number(addresses), Number(each), how as Hold)
  setInterval(() => process.stdout.write(`${held.open}\n`), 100)
  process.stdin.resume().once('end', () => process.exit(0))
}
