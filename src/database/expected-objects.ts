// What a store has if it is as this version installs it: what the files of sql/ make, by name.
import { definitions, functionOf, isTrigger, schemaFiles } from './definitions.ts'

const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name!)

/** The body of a function as PostgreSQL keeps it; '' if it is not quoted: PostgreSQL keeps such a body in another form. */
const bodyOf = (text: string) => /\bas \$(\w*)\$([\s\S]*?)\$\1\$/.exec(text)?.[2] ?? ''

const schema = schemaFiles.map(({ text }) => text.replaceAll(/--.*$/gm, '')).join('\n')
const tables = [...schema.matchAll(/create (?:unlogged )?table (\w+) \(([^;]*)\)/g)]

const functions = definitions.filter(({ name }) => !isTrigger(name))

const ALWAYS = ['events.announce', 'events.append_only', 'events.appended']

export const expectedObjects = {
  /** A name occurs as often as there are functions of this name. */
  functions: functions.map(({ name }) => functionOf(name)),
  bodies: functions.map(({ text }) => bodyOf(text)),
  /** Without those that health.ts looks at each time a store is opened. */
  triggers: definitions.map(({ name }) => name).filter((name) => isTrigger(name) && !ALWAYS.includes(name)),
  indexes: [
    ...all(schema, /create (?:unique )?index (\w+) on/g),
    ...all(schema, /constraint (\w+) unique/g),
    ...tables.filter(([, , columns]) => columns!.includes('primary key')).map(([, table]) => `${table}_pkey`),
  ],
}
