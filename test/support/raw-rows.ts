// Values at the edges of every column's type, for tests of what plain SQL may insert and of how it is read.
import { seeded } from './random.ts'

export const random = seeded('raw rows')

/** A row of the table of events. */
export interface Raw {
  id: string
  category: string
  streamId: string
  version: number
  type: string
  /** JSON text, stored as it is. */
  data: string
  metadata: string
  recordedAt: string
}

/** A value at the edge of a column's type. `bad`: the error if it is refused. */
export interface Edge {
  text: string
  bad?: RegExp
}
export const good = (...texts: string[]): Edge[] => texts.map((text) => ({ text }))
const bad = (why: RegExp, ...texts: string[]): Edge[] => texts.map((text) => ({ text, bad: why }))
const names: Edge[] = [
  ...good('a', '__proto__', 'constructor', 'toString', ' ', '%', '*', '>', 'a.b', 'a/b', '\\', `'";--`, '-'),
  ...good(
    '\u0001',
    '\n',
    '\r\n\t',
    '\u007f',
    '\u2028',
    '\u202e',
    '\ufeff',
    '\uffff',
    '\u0301',
    '🐈',
    '{}',
    'null',
  ),
  ...good('x'.repeat(255), 'é'.repeat(255), '🐈'.repeat(255)),
  ...bad(/1 to 255 characters/, '', 'x'.repeat(256), '🐈'.repeat(256)),
]
const types: Edge[] = [...names, ...good('T', 'a$', '\u0001$'), ...bad(/reserved/, '$', '$erased', '$timer')]
export const deep = (levels: number) => `${'{"a":['.repeat(levels / 2)}1${']}'.repeat(levels / 2)}`
export const values = [
  ...['null', 'true', '0', '-0', '""', '[]', '{}', ' [ ] ', '\t{ "a" :\r\n1 }\n', '[null,[],{}]'],
  ...[
    '1e400',
    '-1e400',
    '[1e400,null,{"n":-1e400}]',
    '1e-400',
    '9007199254740993',
    '123456789012345678901234567890',
  ],
  ...['1.7976931348623157e308', '5e-324', '0.1', '1E+2'],
  ...[
    '"\\u0000"',
    '{"\\u0000":"\\u0000"}',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '{"\\ud800":1}',
    '"\\ud83d\\udc08"',
  ],
  ...[
    '"\\/\\b\\f"',
    '"\u2028\u007f\ufeff"',
    '{"a":1,"a":2}',
    '{"__proto__":{"polluted":1},"constructor":{"prototype":1}}',
  ],
  ...[
    '{"toJSON":1,"then":2,"toString":3,"length":-1}',
    '{"":{"":0}}',
    '{"erased":true}',
    '{"known":true,"type":"$erased"}',
  ],
  ...[deep(2_000), deep(2_500), deep(6_000)],
]
const properties = [
  'correlationId',
  'causationId',
  'traceparent',
  'tracestate',
  'schemaVersion',
  'erased',
  'legacy',
]
export const metadatas: Edge[] = [
  ...good(
    '{}',
    ' {}',
    '\n{ }\t',
    '{"a":1,"a":{"b":2}}',
    '{"__proto__":{"correlationId":"x"}}',
    '{"erased":true}',
  ),
  ...good('{"tombstone":true}', '{"schemaVersion":0}', '{"schemaVersion":1e400}', '{"schemaVersion":"2"}'),
  ...values.filter((text) => text.trim().startsWith('{')).map((text) => ({ text })),
  ...values.map((text) => ({ text: `{"correlationId":${text}}` })),
  ...Array.from({ length: 20 }, () => ({ text: `{"${random.pick(properties)}":${random.pick(values)}}` })),
  ...bad(/no JSON object/, ...values.filter((text) => !text.trim().startsWith('{'))),
]
const times: Edge[] = [
  ...good(
    '0001-01-01T00:00:00.000Z',
    '0099-12-31T23:59:59.999Z',
    '1969-12-31T23:59:59.999Z',
    '1970-01-01T00:00:00.000Z',
  ),
  ...good('2026-02-28T12:00:00.123Z', '9999-12-30T23:59:59.999Z'),
  ...bad(/recorded_at/, 'infinity', '-infinity', '0001-12-31 23:59:59+00 BC', '4713-01-01 00:00+00 BC'),
  ...bad(/recorded_at/, '9999-12-31 00:00+00', '275760-09-13 00:00:01+00', '294276-12-31 23:59:59+00'),
]
const ids = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']
const categories = ['raw', '🐈'.repeat(255), '__proto__', '\u0001\n%.*>']
const columns = {
  category: [...good(...categories), ...names.filter(({ bad }) => bad)],
  streamId: names,
  type: types,
  data: good(...values),
  metadata: metadatas,
  recordedAt: times,
  id: good(...ids),
}

/** What is special about a row. */
export type Edges = { [key in keyof Raw]?: Edge }

/** Each edge at least once, together with some others; then each bad one on its own; then random combinations. */
export function chosenEdges(): Edges[] {
  const every = Object.entries(columns)
  const fine = every.map(([key, edges]) => [key, edges.filter(({ bad }) => !bad)] as const)
  const most = Math.max(...fine.map(([, edges]) => edges.length))
  return [
    ...Array.from({ length: most }, (_, n) =>
      Object.fromEntries(
        fine.flatMap(([key, edges]) => (key === 'id' && n > 1 ? [] : [[key, edges[n % edges.length]!]])),
      ),
    ),
    ...every.flatMap(([key, edges]) => edges.filter(({ bad }) => bad).map((edge) => ({ [key]: edge }))),
    ...Array.from({ length: 30 }, () =>
      Object.fromEntries(
        every.flatMap(([key, edges]) =>
          key !== 'id' && random.chance(0.6) ? [[key, random.pick(edges)]] : [],
        ),
      ),
    ),
  ]
}
