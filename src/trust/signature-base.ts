/**
 * The signature base (RFC 9421, 2.5): the text that is signed, one line a covered component and a last one with the
 * signature's parameters. Fails rather than guess: on a component that is missing, unknown, repeated, or whose value is
 * not printable ASCII in one line.
 */
import { serializeInnerList, serializeItem } from 'structured-headers'
import type { BareItem } from 'structured-headers'
import { derivedValue } from './derived-component.ts'
import type { Component, FieldType, HttpMessage } from './http-message.ts'
import { fieldValues, refuseSignature } from './http-message.ts'
import { memberOf, reserialise } from './structured-field.ts'

/**
 * Parameters of a signature (`created`, `keyid` ...), in their order. Their values are bare items (RFC 9651, 3.3). The
 * type does not express it: it is part of the types of `verit/client`, which name no other package.
 */
export type SignatureParameters = ReadonlyMap<string, unknown>

const knownTypes: Readonly<Record<string, FieldType>> = {
  'content-digest': 'dictionary',
  'repr-digest': 'dictionary',
  signature: 'dictionary',
  'signature-input': 'dictionary'
}
const NAME = /^[a-z0-9!#$%&'*+\-.^_`|~]+$/
const FLAGS = ['sf', 'bs', 'tr', 'req']

const map = (component: Component): Map<string, string | true> => new Map(component.parameters)

/** The identifier of a component in the base and in Signature-Input: `"@method";req`. */
export function componentId(component: Component): string {
  return serializeItem([component.name, map(component)])
}

/**
 * The value of @signature-params: the covered components and the parameters, as in Signature-Input behind the label.
 */
export function signatureParams(components: readonly Component[], parameters: SignatureParameters): string {
  return serializeInnerList([
    components.map(c => [c.name, map(c)]),
    new Map(parameters as ReadonlyMap<string, BareItem>)
  ])
}

/** A field line's value: obsolete folds become one space, white space around it goes (RFC 9421, 2.1). */
function canonicalLine(value: string): string {
  return value.replace(/[ \t]*\r?\n[ \t]+/g, ' ').replace(/^[ \t]+|[ \t]+$/g, '')
}

function fieldValue(component: Component, message: HttpMessage): string {
  const { name } = component
  if (!NAME.test(name)) refuseSignature('a covered component has a name that no field can have')
  const parameters = map(component)
  const key = parameters.get('key')
  if (parameters.has('name') || key === true)
    refuseSignature(`the component ${name} has a parameter that it cannot have`)
  if (parameters.has('bs') && (parameters.has('sf') || key !== undefined))
    refuseSignature(`the component ${name} has bs beside sf or key`)
  const lines = fieldValues(parameters.has('tr') ? (message.trailers ?? []) : message.headers, name).map(canonicalLine)
  if (lines.length === 0) refuseSignature(`the covered field ${name} is not there`)
  if (parameters.has('bs')) return lines.map(line => `:${Buffer.from(line, 'latin1').toString('base64')}:`).join(', ')
  const value = lines.join(', ')
  if (key !== undefined) return memberOf(name, value, key)
  if (!parameters.has('sf')) return value
  const type = message.types?.[name] ?? (Object.hasOwn(knownTypes, name) ? knownTypes[name] : undefined)
  return reserialise(name, value, type ?? refuseSignature(`the type of the field ${name} is not known`))
}

function componentValue(component: Component, message: HttpMessage): string {
  for (const [parameter, value] of component.parameters) {
    if (FLAGS.includes(parameter) ? value !== true : (parameter !== 'key' && parameter !== 'name') || value === true) {
      refuseSignature('a covered component has an unknown or malformed parameter')
    }
  }
  let source = message
  if (component.parameters.some(([parameter]) => parameter === 'req')) {
    if (!('status' in message)) refuseSignature('a component of a request has the parameter req')
    source = message.request ?? refuseSignature('the request of this response is not known')
  }
  const value = component.name.startsWith('@') ? derivedValue(component, source) : fieldValue(component, source)
  if (!/^[\x20-\x7e]*$/.test(value)) refuseSignature('the value of a covered component is not printable ASCII')
  return value
}

/** The signature base. `parameters` are used unchanged: the reader checks their rules. */
export function signatureBase(
  components: readonly Component[],
  parameters: SignatureParameters,
  message: HttpMessage
): string {
  const seen = new Set<string>()
  const lines = components.map(component => {
    if (component.name === '@signature-params') refuseSignature('@signature-params cannot be covered')
    // the order of parameters makes no other component
    const identity = JSON.stringify([component.name, [...component.parameters].sort(([a], [b]) => (a < b ? -1 : 1))])
    if (seen.has(identity)) refuseSignature('a component is covered twice')
    seen.add(identity)
    return `${componentId(component)}: ${componentValue(component, message)}\n`
  })
  return `${lines.join('')}"@signature-params": ${signatureParams(components, parameters)}`
}
