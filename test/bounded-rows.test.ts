// Only as many rows of an answer are kept as fit: whole rows, in order, however they arrive, and always the first one.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Row } from '../src/database/bounded-rows.ts'
import { BoundedRows } from '../src/database/bounded-rows.ts'

const row = (n: number, length: number): Row => [String(n), 'x'.repeat(length), null, '{}']

/** As pg's own query makes rows: each value through the parser of its column. */
function throughParsers(answer: BoundedRows, rows: readonly Row[]): Row[] {
  const { types } = answer
  const parsers = rows[0]!.map(() => types.getTypeParser())
  return rows.map((row) => row.map((value, i) => (value === null ? value : parsers[i]!(value))))
}

const all = [0, 900, 50, 0, 3_000, 1].map((length, n) => row(n, length))

for (const maxBytes of [1, 100, 1_000, 1_050, 4_000, 10_000, Infinity]) {
  test(`at most ${maxBytes} bytes`, () => {
    const answer = new BoundedRows(maxBytes)
    answer.addAll(throughParsers(answer, all))
    const { rows, bytes, isFull } = answer
    assert.ok(rows.length > 0)
    assert.equal(rows, all.slice(0, rows.length))
    assert.ok(bytes <= maxBytes || rows.length === 1, `${bytes}`)
    assert.is(isFull, rows.length < all.length)
  })
}

test('what is beyond the bound is not held while it arrives', () => {
  const answer = new BoundedRows(100)
  const rows = Array.from({ length: 10 }, (_, n) => row(n, 1_000))
  const parsed = throughParsers(answer, rows)
  assert.equal(parsed[0], rows[0])
  assert.equal(parsed.at(-1), ['', '', null, ''])
})

test('a large row after a small one does not fit: the next answer begins with it', () => {
  const answer = new BoundedRows(1_000)
  answer.add(row(0, 10), 50)
  answer.add(row(1, 100_000), 100_000)
  answer.add(row(2, 10), 50)
  assert.equal(answer.rows, [row(0, 10)])
  assert.ok(answer.isFull)
  assert.is(answer.rowBytes, 100_100 / 3, 'so that it is expected')
})

test.run()
