/** What a connection string must look like, and the mistakes that would otherwise lead to a host that nobody meant. */

/** Schemes by which servers that speak PostgreSQL's protocol are named; pg takes any. */
const SCHEMES =
  'postgres|postgresql|pg|pgsql|psql|postgis|cockroach|cockroachdb|crdb|redshift|timescale|timescaledb|timescalegis|yugabyte|yugabytedb|ysql|alloydb'
const OURS = new RegExp(`^(${SCHEMES}|socket)$`, 'i')
const NO_SLASHES = new RegExp(`^(${SCHEMES}):(?!//)`, 'i')
const FORM = 'write postgres://host:port/database, with user:password@ in front of the host'

/** Why a text is no connection string, in words that hold nothing of it; undefined: none of the usual mistakes. */
export function mistakeIn(text: string): string | undefined {
  if (text.trim() !== text) return 'it begins or ends with a blank or a line break: remove that'
  if (/^["'`]/.test(text)) return 'it stands in quotes: remove them'
  if (/^jdbc:/i.test(text)) return `it is an address for JDBC: ${FORM}`
  if (/^postgres(ql)?\+/i.test(text)) return `it names a driver behind a +: ${FORM}`
  // What pg would take for the name of a database, and the server would write to its log.
  if (/^[a-z_]+\s*=/i.test(text))
    return 'it must be an address, postgres://host:port/database, not a list of name=value'
  if (NO_SLASHES.test(text)) return `two slashes must follow its colon: ${FORM}`
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text) ?? []
  if (scheme && !OURS.test(scheme))
    return `it begins with another scheme than postgres:// or another one of a server that speaks PostgreSQL's protocol: ${FORM}`
  // A path is that of a folder with a socket.
  if (!scheme && !/^(\/(?!\/)|socket:)/i.test(text)) return `it does not begin with postgres://: ${FORM}`
  return undefined
}

/** The same without `application_name`: by that name sessions of ours are looked up. */
export function withoutName(text: string): string {
  const at = text.indexOf('?')
  if (at < 0) return text
  const pairs = text.slice(at + 1).split('&')
  const kept = pairs.filter((pair) => !/^(fallback_)?application_name=/i.test(pair.replaceAll(/%5f/gi, '_')))
  return kept.length === pairs.length ? text : [text.slice(0, at), kept.join('&')].filter(Boolean).join('?')
}
