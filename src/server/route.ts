/** What a row of the route table says, and how a request finds its row. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Scope } from '../store/key-store.ts'
import type { GatewayContext } from './context.ts'
import { isPlainPath } from './http-checks.ts'

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** A segment `:name` stands for one of letters, digits, `_`, `-` and `.`. */
  readonly path: string
  /** The scope that the key must have, or "nothing": no key. */
  readonly requires: Scope | 'nothing'
  readonly takesBody: boolean
  readonly handle: (context: GatewayContext, request: FastifyRequest, reply: FastifyReply) => unknown
}

/** Whether an address, as it was sent, is that of a path of the table. Nothing is decoded: what only matches after decoding has no row. */
export function matches(path: string, url: string): boolean {
  if (!isPlainPath(url)) return false
  const [want, have] = [path.split('/'), url.split('/')]
  return want.length === have.length && want.every((segment, i) => segment === have[i] || (segment.startsWith(':') && /^[A-Za-z0-9_.-]{1,64}$/.test(have[i]!)))
}

/** For logs: method and path of the row, never what a client chose. */
export const nameOf = ({ method, verit }: FastifyRequest): string => `${method} ${verit.route?.path ?? '(no route)'}`
