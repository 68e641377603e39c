// jsonText() writes what JSON.stringify writes, at any depth and with any number.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { jsonText } from '../src/core/json-text.ts'
import { deep, metadatas, values } from './support/raw-rows.ts'

test('the text is that of JSON.stringify; depth is not limited, and numbers beyond the range of a double are kept', () => {
  for (const text of [...values, ...metadatas.map(({ text }) => text)]) {
    const value = JSON.parse(text)
    const written = jsonText(value)
    assert.is(jsonText(JSON.parse(written)), written)
    if (text.includes('[{"a":[') || text.startsWith('{"a":[{"a"') || /1e400/.test(text)) continue
    for (const indent of [0, 2]) assert.is(jsonText(value, indent), JSON.stringify(value, null, indent))
  }
  assert.is(jsonText(JSON.parse(deep(6_000))), deep(6_000))
  assert.is(jsonText(JSON.parse(deep(100_000))), deep(100_000))
  assert.is(
    jsonText(JSON.parse('{"a":[1e400,null,{}],"b":-1e400}'), 1),
    '{\n "a": [\n  1e999,\n  null,\n  {}\n ],\n "b": -1e999\n}',
  )
  assert.is(
    jsonText({ at: new Date(0), n: JSON.parse('1e400'), none: undefined }),
    '{"at":"1970-01-01T00:00:00.000Z","n":1e999}',
  )
})

test.run()
