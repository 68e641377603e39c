// Defects of conditional appends, to be planted in a store. Each is a function of the store that is replaced.
import { sql } from '../../src/database/sql.ts'

const text = (name: string) => sql[`functions/${name}.sql`]!

/** Replaces a part of a function's text, which must be there. */
function changed(name: string, ...changes: [from: string, to: string][]): string {
  return changes.reduce((body, [from, to]) => {
    if (!body.includes(from)) throw new Error(`${name} does not contain ${from}: the defect is out of date`)
    return body.replace(from, to)
  }, text(name))
}

const LOCK = `  if not lock_tags(_exclusive, _shared, _wait) then
    outcome := array_fill('busy'::text, array[cardinality(_stream)]);
    return;
  end if;
`
const LATE = '  _void := lock_tags(_exclusive, _shared, true);\n'
const WRITTEN = '  for _r in 1 .. cardinality(_stream) loop\n    if _expected[_r] = -4'
const CHECKED = '    failed := _failed;\n  end if;\n'

export const defects: Readonly<Record<string, string>> = {
  'no locks': changed('lock_tags', ['begin\n', 'begin\n  return true;\n']),
  'what was seen is taken for all up to its highest position': changed('first_unseen', [
    'begin\n',
    'begin\n  _horizon := greatest(_horizon, (select max(s) from unnest(_seen) as s));\n',
  ]),
  'the lock comes after the position': changed(
    'append_tagged',
    [LOCK, `  if _conditions is not null then\n  ${LOCK}  end if;\n`],
    [WRITTEN, `  if _conditions is null then\n  ${LATE}  end if;\n${WRITTEN}`],
  ),
  'the check sees what was there before the lock': changed(
    'append_tagged',
    [LOCK, ''],
    [CHECKED, `${CHECKED}${LATE}`],
  ),
}
