/** Matching of requests to the route table, and names of routes in logs. */
import type { FastifyRequest } from 'fastify'
import type { OpenRoute, Route } from './context.ts'
import { isPlainPath } from './http-checks.ts'

/** Whether an address, as sent, is the path of a row. Nothing is decoded: an encoded path has no row. */
export function matches(path: string, url: string): boolean {
  if (!isPlainPath(url)) return false
  const [want, have] = [path.split('/'), url.split('/')]
  return (
    want.length === have.length &&
    want.every(
      (segment, i) => segment === have[i] || (segment.startsWith(':') && /^[A-Za-z0-9_.-]{1,64}$/.test(have[i]!))
    )
  )
}

/** The methods of a row: HEAD is answered wherever GET is (RFC 9110 section 9.1). */
export const methodsOf = ({ method }: Route | OpenRoute): readonly string[] =>
  method === 'GET' ? ['GET', 'HEAD'] : [method]

export const answers = (row: Route, method: string): boolean => methodsOf(row).includes(method)

/** For logs: method and path of the row, never the client's text. */
export const nameOf = ({ method, verit }: FastifyRequest): string => `${method} ${verit.route?.path ?? '(no route)'}`
