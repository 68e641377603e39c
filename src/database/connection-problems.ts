/**
 * Explains why a connection attempt failed, and what to do. The server's messages may be in any language, so this decides by
 * SQLSTATE, by the routine in the server that refused, by Node's error codes, and by the driver's own messages.
 */

import { SQLSTATE } from './sqlstate.ts'

const PLACE = 'connectionString, or PGHOST and PGPORT'
const NO_CONNECTION = 'no connection to the server'
const LOGIN = 'connection string or PGUSER and PGPASSWORD'

interface Failure {
  code?: string
  message?: string
  routine?: string
  address?: string
  hostname?: string
  syscall?: string
}

/** The user's function for the password threw, or returned no password. */
export class PasswordFailure extends Error {}

/** What is wrong and what to do; undefined if it is not known as a problem of connecting. */
export function connectionProblem(error: unknown): string | undefined {
  const failure = (error ?? {}) as Failure
  const { message = '' } = failure
  if (error instanceof PasswordFailure)
    return `the function that gives the password failed: ${message}; nothing was sent to the server`
  return (
    byServer(failure, message) ?? byTls(failure, message) ?? bySystem(failure, message) ?? byDriver(message)
  )
}

/** The message for a lost connection if no other message fits. */
export const lostConnection = (reason: string): string =>
  `${NO_CONNECTION}: ${reason}; check that it runs and that host and port are right (${PLACE})`

/** What the server answered, by SQLSTATE and by the routine that answered. */
function byServer({ code, routine }: Failure, message: string): string | undefined {
  switch (code) {
    case SQLSTATE.loginRefused:
      if (routine === 'ClientAuthentication')
        return `the server lets nobody in this way: ${message}; its pg_hba.conf has no entry for this user, database and address, or only one that wants encryption: add sslmode=require to the connection string (PGSSLMODE), or an entry to pg_hba.conf`
      if (routine === 'InitializeSessionUserId')
        return `the server refused the login: ${message}; check the user of the ${LOGIN}, or let a superuser run: create role … login, alter role … login`
      return `the server refused the login: ${message}; check user and password of the ${LOGIN}, and the method that pg_hba.conf asks for`
    case SQLSTATE.wrongPassword:
      return `the server refused the login: ${message}; check user and password of the ${LOGIN}; a password may also have expired (VALID UNTIL)`
    case SQLSTATE.notYetReady:
      return `the server takes no connections yet, or no longer: ${message}; try again in a moment`
    case SQLSTATE.databaseDropped:
      return `the database was dropped: ${message}`
    case SQLSTATE.noRights:
      return routine === 'CheckMyDatabase'
        ? `this role may not connect to the database: ${message}; grant connect on database … to …, or connect as another`
        : undefined
    case SQLSTATE.wrongState:
      return routine === 'CheckMyDatabase'
        ? `the database takes no connections: ${message}; alter database … allow_connections true`
        : undefined
  }
  return undefined
}

const UNKNOWN_ISSUER =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|CERT_UNTRUSTED)$/

/** Problems with encryption and certificates. */
function byTls({ code = '' }: Failure, message: string): string | undefined {
  if (message === 'The server does not support SSL connections')
    return `the server does not offer TLS: ${message}; remove sslmode from the connection string (PGSSLMODE), or set ssl = on in its postgresql.conf`
  if (message === 'There was an error establishing an SSL connection')
    return `what answers does not speak PostgreSQL's protocol: ${message}; check host and port (${PLACE})`
  if (UNKNOWN_ISSUER.test(code))
    return `the server's certificate is not signed by an authority that is trusted here: ${message} (${code}); give the authority's certificate (sslrootcert=/path/to/ca.pem in the connection string, or NODE_EXTRA_CA_CERTS), or do without the check (sslmode=no-verify)`
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `the server's certificate is not valid at this time: ${message} (${code}); renew it, or check the clock of this machine`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the server's certificate is for another host name: ${message}; connect by a name that it holds, or renew it with this one`
  if (/^(EPROTO|ERR_SSL_|ERR_TLS_|CERT_)/.test(code))
    return `TLS could not be agreed upon with the server: ${message} (${code}); check its certificate and the versions of TLS that both sides allow`
  return undefined
}

/** Errors of the operating system. */
function bySystem({ code, address, hostname, syscall }: Failure, message: string): string | undefined {
  switch (code) {
    case 'ENOENT':
      return syscall === 'connect'
        ? `${NO_CONNECTION}: there is no socket ${address ?? ''} (${message}); check that it runs on this machine, and in which folder it makes its socket (${PLACE})`
        : undefined
    case 'EACCES':
    case 'EPERM':
      return syscall === 'connect'
        ? `${NO_CONNECTION}: this process may not use ${address ?? 'its address'} (${message}); check the permissions of the socket, or the firewall`
        : undefined
    case 'ENOTFOUND':
      return `${NO_CONNECTION}: no host is named ${hostname ?? 'so'} (${message}); check the host's name (${PLACE})`
    case 'EAI_AGAIN':
      return `${NO_CONNECTION}: the host's name ${hostname ?? ''} can not be looked up (${message}); check DNS and the network of this machine`
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
      return `${NO_CONNECTION}: ${message}; nothing answers there: check host and port (${PLACE}), the network and its firewalls`
  }
  return undefined
}

/** Errors of the driver, by message. */
function byDriver(message: string): string | undefined {
  if (/^SASL.*password must be a (non-empty )?string/.test(message))
    return `the server refused the login: it asks for a password, and none is given (${message}); check user and password of the ${LOGIN}`
  if (message.startsWith('SASL'))
    return `the server refused the login: ${message}; check user and password of the ${LOGIN}`
  if (/^(timeout expired|Connection terminated due to connection timeout)$/.test(message))
    return `${NO_CONNECTION}: ${message}; nothing answers there, or nothing that speaks PostgreSQL's protocol: check that it runs, host and port (${PLACE}), and firewalls`
  if (/^received invalid response/.test(message))
    return `what answers does not speak PostgreSQL's protocol: ${message}; check host and port (${PLACE})`
  return undefined
}
