// @direct
// The members of a JSON object keep the exact text in which they are written, for any object.
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { members } from '../src/cli/members.ts'

test('any object, dense or with white space', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom(undefined, 1, '\t'),
      (object, indent) => {
        const found = members(` ${JSON.stringify(object, null, indent)} `)
        assert.equal([...found.keys()], Object.keys(object))
        for (const [name, text] of found) {
          assert.is(text, text.trim())
          assert.equal(JSON.parse(text), JSON.parse(JSON.stringify(object[name])))
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('numbers, escapes and white space stand as they are written', () => {
  const text = '{"a\\"": 1.10 , "b" : {"x": [1e400,"},{\\\\"]}, "\\u0063":"\\u0000\\"", "a": -0}'
  assert.equal(
    [...members(text)],
    [
      ['a"', '1.10'],
      ['b', '{"x": [1e400,"},{\\\\"]}'],
      ['c', '"\\u0000\\""'],
      ['a', '-0'],
    ],
  )
  assert.equal([...members('{ }')], [])
})

test.run()
