/** Finds mistakes in a connection string that would otherwise lead to a wrong host. */

/** The schemes of servers that speak PostgreSQL's protocol. pg itself accepts any scheme. */
const SCHEMES =
  'postgres|postgresql|pg|pgsql|psql|postgis|cockroach|cockroachdb|crdb|redshift|timescale|timescaledb|timescalegis|yugabyte|yugabytedb|ysql|alloydb'
const OURS = new RegExp(`^(${SCHEMES}|socket)$`, 'i')
const NO_SLASHES = new RegExp(`^(${SCHEMES}):(?!//)`, 'i')
const FORM = 'write postgres://host:port/database, with user:password@ in front of the host'

/** Why a text is not a connection string, without quoting the text; undefined if it has none of the usual mistakes. */
export function mistakeIn(text: string): string | undefined {
  if (text.trim() !== text) return 'it begins or ends with a blank or a line break: remove that'
  if (/^["'`]/.test(text)) return 'it stands in quotes: remove them'
  if (/^jdbc:/i.test(text)) return `it is an address for JDBC: ${FORM}`
  if (/^postgres(ql)?\+/i.test(text)) return `it names a driver behind a +: ${FORM}`
  // pg would take this for the name of a database, and the server would write it to its log.
  if (/^[a-z_]+\s*=/i.test(text))
    return 'it must be an address, postgres://host:port/database, not a list of name=value'
  if (NO_SLASHES.test(text)) return `two slashes must follow its colon: ${FORM}`
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text) ?? []
  if (scheme && !OURS.test(scheme))
    return `it begins with another scheme than postgres:// or another one of a server that speaks PostgreSQL's protocol: ${FORM}`
  // A path is allowed: it names the folder of a socket.
  if (!scheme && !/^(\/(?!\/)|socket:)/i.test(text)) return `it does not begin with postgres://: ${FORM}`
  return undefined
}

/** The connection string without `application_name`, because the store finds its own sessions by that name. */
export function withoutName(text: string): string {
  const at = text.indexOf('?')
  if (at < 0) return text
  const pairs = text.slice(at + 1).split('&')
  const kept = pairs.filter((pair) => !/^(fallback_)?application_name=/i.test(pair.replaceAll(/%5f/gi, '_')))
  return kept.length === pairs.length ? text : [text.slice(0, at), kept.join('&')].filter(Boolean).join('?')
}
