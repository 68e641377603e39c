// Defects of conditional appends, to be planted in a store. Each is a function of the store that is replaced.
import { sql } from '../../src/database/sql.ts'

const text = (name: string) => sql[`functions/${name}.sql`]!

/** Replaces a part of a function's text, which must be there. */
function changed(name: string, ...changes: [from: string, to: string][]): string {
  return changes.reduce((body, [from, to]) => {
    if (!body.includes(from)) throw new Error(`${name} does not contain ${from}: the defect is out of date`)
    return body.replace(from, () => to)
  }, text(name))
}

const lockOf = (busy: string) => `  if not lock_tags(_exclusive, _shared, _wait) then
    outcome := ${busy};
    return;
  end if;
`
/** What appends one event and what appends several: where they lock, what says whether there is a condition, and where the check has ended. */
const APPENDS = [
  {
    name: 'append_one_tagged',
    lock: lockOf(`'busy'`),
    condition: '_query',
    checked: '  if cardinality(_shared) > 0 then\n    _void := allow_tags();\n',
    written: 'end\n$$;',
  },
  {
    name: 'append_tagged',
    lock: lockOf(`array_fill('busy'::text, array[cardinality(_stream)])`),
    condition: '_conditions',
    checked: '  if cardinality(_shared) > 0 then\n    _void := allow_tags();\n',
    written: '  for _r in 1 .. cardinality(_stream) loop\n    if _expected[_r] = -4',
  },
]
const LATE = '  perform lock_tags(_exclusive, _shared, true);\n'
const ofBoth = (change: (one: (typeof APPENDS)[number]) => [from: string, to: string][]) =>
  APPENDS.map((one) => changed(one.name, ...change(one))).join(';\n')

export const defects: Readonly<Record<string, string>> = {
  'no locks': changed('lock_tags', ['begin\n', 'begin\n  return true;\n']),
  'what was seen is taken for all up to its highest position': changed('first_unseen', [
    'begin\n',
    'begin\n  _horizon := greatest(_horizon, (select max(s) from unnest(_seen) as s));\n',
  ]),
  'the lock comes after the position': ofBoth(({ lock, condition, written }) => [
    [lock, `  if ${condition} is not null then\n  ${lock}  end if;\n`],
    [written, `  if ${condition} is null then\n  ${LATE}  end if;\n${written}`],
  ]),
  'the check sees what was there before the lock': ofBoth(({ lock, checked }) => [
    [lock, ''],
    [checked, `${LATE}${checked}`],
  ]),
}
