/**
 * Structured fields (RFC 9651), read strictly: a value is taken only if it is written exactly as the RFC would write
 * it. So one value has one form; members or parameters given twice, bits in the padding of base64 and the like, on
 * which readers may differ, are refused.
 */
import {
  isInnerList,
  parseDictionary,
  parseItem,
  parseList,
  serializeDictionary,
  serializeInnerList,
  serializeItem,
  serializeList
} from 'structured-headers'
import type { Dictionary } from 'structured-headers'
import type { FieldType } from './http-message.ts'
import { refuseSignature } from './http-message.ts'

function attempt<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (e) {
    refuseSignature(`the ${name} field is not a structured field of its type`, e)
  }
}

/** Reads a Dictionary that has its one canonical form and at most `limit` characters. */
export function strictDictionary(name: string, value: string, limit: number): Dictionary {
  if (value.length > limit) refuseSignature(`the ${name} field has more than ${limit} characters`)
  const dictionary = attempt(name, () => parseDictionary(value))
  if (attempt(name, () => serializeDictionary(dictionary)) !== value) {
    refuseSignature(
      `the ${name} field is not written in the canonical form of RFC 9651, or names a member or parameter twice`
    )
  }
  return dictionary
}

/** Writes a field value anew, by the rules for its type (RFC 9421, 2.1.1). */
export function reserialise(name: string, value: string, type: FieldType): string {
  return attempt(name, () => {
    if (type === 'dictionary') return serializeDictionary(parseDictionary(value))
    return type === 'list' ? serializeList(parseList(value)) : serializeItem(parseItem(value))
  })
}

/** The value of one member of a Dictionary with its parameters (RFC 9421, 2.1.2). */
export function memberOf(name: string, value: string, key: string): string {
  const member = attempt(name, () => parseDictionary(value)).get(key)
  if (member === undefined) refuseSignature(`the ${name} field does not have the member that is covered`)
  return attempt(name, () => (isInnerList(member) ? serializeInnerList(member) : serializeItem(member)))
}
