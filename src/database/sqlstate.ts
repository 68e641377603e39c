/**
 * The SQLSTATEs by which the library decides something, each with what it means. A short one stands for all SQLSTATEs that
 * begin with it: a class, or a part of a class. Those that begin with MW are raised by the functions of the store.
 */
export const SQLSTATE = {
  /** The connection broke, or could not be made. */
  connection: '08',
  /** A value that PostgreSQL can't use. */
  data: '22',
  /** A sequence has reached its last value. */
  sequenceAtEnd: '2200H',
  /** A constraint is violated. */
  constraint: '23',
  uniqueConstraint: '23505',
  /** Other objects depend on what is to be dropped. */
  dependentObjects: '2BP01',
  /** A standby, or a transaction that may only read. */
  readOnly: '25006',
  noTransaction: '25P01',
  /** An earlier query of the transaction failed. */
  transactionAborted: '25P02',
  /** The session was idle in a transaction for too long, and has ended. */
  idleInTransaction: '25P03',
  /** A transaction took too long, and its session has ended. */
  transactionTimeout: '25P04',
  noStatement: '26000',
  login: '28',
  /** No entry of pg_hba.conf lets this login in, or the role may not log in. */
  loginRefused: '28000',
  wrongPassword: '28P01',
  noSavepoint: '3B001',
  noDatabase: '3D000',
  noSchema: '3F000',
  schemaExists: '42P06',
  /** The transaction was rolled back because of others. If it runs again, it sees what they wrote. */
  rolledBack: '40',
  serializationFailure: '40001',
  deadlock: '40P01',
  noRights: '42501',
  noColumn: '42703',
  noFunction: '42883',
  noTable: '42P01',
  statementExists: '42P05',
  /** Memory, disk or connections are used up. */
  resources: '53',
  noConnectionLeft: '53300',
  /** A limit of the server's program is exceeded; also, the queue of NOTIFY is full. */
  programLimit: '54',
  programLimitExceeded: '54000',
  /** Something is not in a state in which this works. */
  state: '55',
  /** A lock was waited for as long as `lock_timeout` allows. */
  lockTimeout: '55P03',
  /** Also, the database takes no connections. */
  wrongState: '55000',
  /** Somebody has ended the query, or the server. */
  intervention: '57',
  /** The server, or this session of it, was ended. */
  shutdown: '57P',
  notYetReady: '57P03',
  databaseDropped: '57P04',
  /** The operating system of the server failed. */
  system: '58',
  configuration: 'F0',
  /** A defect of the server or its files. */
  internal: 'XX',

  ofStore: 'MW',
  /** The version of an inserted event does not follow the one before it. */
  versionGap: 'MW003',
  /** The isolation level is not READ COMMITTED. */
  wrongIsolation: 'MW004',
  /** The store can't be read on this standby. */
  isStandby: 'MW005',
  /** A stream has no version left. */
  streamFull: 'MW009',
  /** The subscription exists with other options, or executors own it. */
  subscriptionMismatch: 'MW010',
  noSubscription: 'MW011',
  /** A subscription of one stream needs exactly one category. */
  needsOneCategory: 'MW012',
  /** The schema was renamed or copied, and not migrated since. */
  schemaRenamed: 'MW013',
  /** The store is not marked as a test store, or may not be marked. */
  notTestStore: 'MW014',
  /** There is no such version of a projection. */
  noProjection: 'MW015',
  /** A version of a projection is not switched to, or not dropped: something is in the way. */
  projectionRefused: 'MW016',
  /** A version of a projection exists with another definition, or was dropped. */
  projectionMismatch: 'MW017',
  /** An append with a condition, in a transaction that is not READ COMMITTED. */
  conditionNeedsReadCommitted: 'MW018',
  /** An INSERT carries tags, which only the append functions can write. */
  rawTags: 'MW019',
  /** In plain SQL: the condition of an append does not hold. */
  conditionFailed: 'MW020',
  /** In plain SQL: what a condition gives as seen is not from this store. */
  foreignSeen: 'MW021',
} as const
