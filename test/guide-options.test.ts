// The guide's page of options names every option, and says the default and the limits that the code has.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { MAX_INT } from '../src/core/numbers.ts'
import { connectOptionsSchema } from '../src/database/connect-options.ts'
import { processOptionsSchema, subscriptionOptionsSchema } from '../src/subscriptions/options.ts'

const page = readFileSync(new URL('../examples/guide/options.md', import.meta.url), 'utf8')

type JsonSchema = z.core.JSONSchema.BaseSchema

/** The options of a schema by name; an option of an option is named `retry.maxAttempts`. */
function optionsOf(schema: JsonSchema, prefix = ''): [name: string, option: JsonSchema][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, given]) => {
    const kinds = ((given as JsonSchema).anyOf ?? [given]) as JsonSchema[]
    const object = kinds.every(({ type }) => type !== 'string') && kinds.find(({ properties }) => properties)
    return object ? optionsOf(object, `${prefix}${name}.`) : [[`${prefix}${name}`, given as JsonSchema]]
  })
}

/** The row of an option in a section; a row may be about several options. */
function rowOf(section: string, name: string): string[] {
  const rows = page.split(`\n## ${section}\n`)[1]!.split('\n## ')[0]!.split('\n')
  const row = rows.find((line) => line.startsWith('| ') && line.split(' | ')[0]!.includes(`\`${name}\``))
  assert.ok(row, `${section}: ${name} is missing`)
  return row.split(' | ').map((cell) => cell.replaceAll(',', ''))
}

for (const [section, schema] of Object.entries({
  connect: connectOptionsSchema,
  subscription: subscriptionOptionsSchema,
  process: processOptionsSchema,
}))
  test(`${section}: names, defaults and limits`, () => {
    const options = optionsOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
    assert.ok(options.length > 5)
    for (const [name, { default: byDefault, minimum, maximum }] of options) {
      const [, told, limits] = rowOf(section, name)
      if (['number', 'boolean'].includes(typeof byDefault))
        assert.match(told!, new RegExp(`^${byDefault}\\b`), `default of ${name}`)
      if (typeof minimum === 'number' && name !== 'retry.maxDelayMs')
        assert.match(limits!, new RegExp(`\\b${minimum}\\b`), `minimum of ${name}`)
      if (typeof maximum === 'number' && maximum < MAX_INT)
        assert.match(limits!, new RegExp(`\\b${maximum}\\b`), `maximum of ${name}`)
    }
  })

test.run()
