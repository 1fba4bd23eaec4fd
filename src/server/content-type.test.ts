import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentTypeProblem } from './content-type.ts'

test('JSON in UTF-8, in every way that the standards allow to write it', () => {
  for (const type of [
    'application/json',
    'Application/JSON',
    'application/json;charset=UTF-8',
    'application/json; charset=utf-8',
    'application/json;charset="utf-8"',
    'application/json; Charset="UTF\\-8"',
    'application/json ; charset=utf8',
    'application/json;charset=us-ascii',
    'application/json;',
    'application/json;;',
    'application/json; ; charset=utf-8;',
    'application/json; profile="a;b\\"c"; charset=utf-8',
    'application/json; x=y',
    ' application/json '
  ])
    assert.equal(contentTypeProblem(type), undefined, type)
})

test('another type, another character set, and what is malformed or said twice are refused', () => {
  for (const type of [
    undefined,
    '',
    'text/plain',
    'application/json-seq',
    'application/jsonx',
    'application/problem+json',
    'text/json',
    'application/json/x',
    'application/json, text/plain',
    'application/json charset=utf-8',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset="utf-8',
    'application/json; charset=utf-8"',
    'application/json; charset=',
    'application/json; charset',
    'application/json; charset = utf-8',
    'application/json; charset=utf-8; charset=latin1',
    'application/json; charset=utf-8; charset=utf-8',
    'application/json; =x',
    'multipart/form-data',
    'application/x-www-form-urlencoded'
  ])
    assert.notEqual(contentTypeProblem(type), undefined, String(type))
})
