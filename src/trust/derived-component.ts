/** Components derived from the first line of a message: @method, @path ... (RFC 9421, 2.2). */
import type { Component, HttpMessage, RequestMessage } from './http-message.ts'
import { refuseSignature } from './http-message.ts'

const DEFAULT_PORT: Readonly<Record<string, string>> = { http: ':80', https: ':443' }

/**
 * Percent-encodes all but ASCII letters, digits and `*-._`, a space as %20 (URL standard,
 * application/x-www-form-urlencoded).
 */
function formEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()~]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/**
 * The request target in origin form, `/path?query`, also where it is written in absolute form; undefined for `*` and
 * CONNECT.
 */
function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return target
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*(.*)$/.exec(target)
  if (absolute === null) return undefined
  return absolute[1]!.startsWith('/') ? absolute[1]! : `/${absolute[1]!}`
}

function pathAndQuery(request: RequestMessage): { path: string; query: string | undefined } {
  const target = originForm(request.target) ?? refuseSignature('the request target has no path')
  const mark = target.indexOf('?')
  return mark < 0 ? { path: target, query: undefined } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

function scheme(request: RequestMessage): string {
  return (request.scheme ?? refuseSignature('the scheme of the request is not known')).toLowerCase()
}

/** In lower case, without the default port of the scheme where that is known. */
function authority(request: RequestMessage): string {
  const text = request.authority.toLowerCase()
  const port = DEFAULT_PORT[request.scheme?.toLowerCase() ?? '']
  return port !== undefined && text.endsWith(port) ? text.slice(0, -port.length) : text
}

function queryParameter(request: RequestMessage, encodedName: string): string {
  const found = [...new URLSearchParams(pathAndQuery(request).query ?? '')].filter(
    ([name]) => formEncode(name) === encodedName
  )
  if (found.length !== 1)
    refuseSignature(
      found.length === 0 ? 'a covered query parameter is not there' : 'a covered query parameter is there twice'
    )
  return formEncode(found[0]![1])
}

function absolute(target: string): string {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(target) ? target : refuseSignature('the request target is no URI')
}

const ofRequest: Readonly<Record<string, (request: RequestMessage) => string>> = {
  '@method': request => request.method,
  '@target-uri': request =>
    request.target.startsWith('/')
      ? `${scheme(request)}://${authority(request)}${request.target}`
      : absolute(request.target),
  '@authority': authority,
  '@scheme': scheme,
  '@request-target': request => request.target,
  '@path': request => pathAndQuery(request).path,
  '@query': request => `?${pathAndQuery(request).query ?? ''}`
}

/** The value of a derived component. If the component has `req`, `message` is the request already. */
export function derivedValue(component: Component, message: HttpMessage): string {
  const { name } = component
  const parameters = component.parameters.filter(([p]) => p !== 'req')
  if (parameters.length > (name === '@query-param' ? 1 : 0))
    refuseSignature(`${name} has parameters that it cannot have`)
  if (name === '@status') {
    if (!('status' in message)) refuseSignature('@status is of responses only')
    const { status } = message
    if (!Number.isInteger(status) || status < 100 || status > 999)
      refuseSignature('the status is not a number of three digits')
    return String(status)
  }
  if ('status' in message) refuseSignature(`${name} is of requests only`)
  if (name === '@query-param') {
    const [parameter] = parameters
    if (parameter?.[0] !== 'name' || typeof parameter[1] !== 'string')
      refuseSignature('@query-param needs the name of a parameter')
    return queryParameter(message, parameter[1])
  }
  const derive = Object.hasOwn(ofRequest, name) ? ofRequest[name] : undefined
  return (derive ?? refuseSignature('a derived component is not known'))(message)
}
