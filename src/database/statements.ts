// Every statement that the library sends to a store, except the pages (read/page-reader.ts), what begins and ends transactions, and
// the schema and function files of migrate(). sql/functions and sql/queries say what a statement does.
import { always, commits, file, query, rows, value } from './statement.ts'

/** The columns that {{event}} stands for. */
const event = 'position, recorded_at, id, version, category, stream_id, type, data, metadata'
const noEvent = 'position?, recorded_at?, id?, version?, category?, stream_id?, type?, data?, metadata?'

const batch =
  'category text[], streamId text[], stream int[], size int[], expected int[], atomic boolean, lookup boolean, events json'
const outcomes = 'outcome, version, duplicate, positions?, recorded_at'
const streamRange =
  'category text, streamId text, fromVersion int, toVersion bigint, limit bigint, maxBytes bigint'
const owned = 'partitions int[], epochs bigint[]'
const installed = 'id?, name?, md5?, version?'

const append = {
  appendBatch: commits(rows('append_batch', batch, outcomes)),
  /** Several events, inside a transaction that must survive a lost race. */
  appendGuarded: rows('append_guarded', batch, outcomes),
  /** One event. It returns one value, (outcome,version,position,recorded_at), which is cheaper than a table of one row. */
  appendOne: commits(
    value(
      'append_one',
      'category text, streamId text, expected int, lookup boolean, careful boolean, id uuid, type text, data json, metadata json',
    ),
  ),
  /** One event with tags, or under a condition. */
  appendOneTagged: commits(
    rows(
      'append_one_tagged',
      'category text, streamId text, expected int, lookup boolean, careful boolean, id uuid, type text, data json, metadata json, exclusive text[], shared text[], query json?, horizon bigint, seen bigint[], wait boolean',
      'outcome, version?, position?, recorded_at?, failed?',
    ),
  ),
  /** Events with tags, or under conditions. */
  appendTagged: commits(
    rows(
      'append_tagged',
      `${batch}, careful boolean, exclusive text[], shared text[], conditions json?, wait boolean`,
      'outcome, version?, duplicate?, positions?, recorded_at?, failed?',
    ),
  ),
  eventsById: file('events_by_id', 'ids uuid[]', event),
  import: commits(
    file(
      'import',
      'id uuid?[], category text[], streamId text[], version int?[], type text[], data text[], metadata text?[], recordedAt timestamptz?[], renumber boolean',
      'written, known, other?',
    ),
  ),
}

const read = {
  horizon: query('horizon', 'select meowmx.horizon(variadic $1)', 'categories text[]', 'horizon'),
  horizons: rows('horizons', 'known bigint?', 'key?, horizon, head'),
  head: file('head', '', 'head'),
  positionAt: value('position_at', 'since timestamptz'),
  lastVersion: file('last_version', 'category text, streamId text', 'version'),
  streams: file(
    'streams',
    'category text, prefix text, after text, limit bigint',
    'stream_id, version, position',
  ),
  trace: file('trace', 'id text, after bigint, limit bigint', event),
  queryPage: query(
    'query_page',
    'select horizon, {{event}} from meowmx.query_page($1, $2, $3, $4)',
    'query json, after bigint, limit bigint, known bigint?',
    `horizon, ${noEvent}`,
  ),
  queryPages: query(
    'query_pages',
    'select r, whole, {{event}} from meowmx.query_pages($1, $2)',
    'queries json, most int',
    `r, whole, ${noEvent}`,
  ),
  seenKey: query('seen_key', `select pg_catalog.encode(key, 'hex') from meowmx.seen_key`, '', 'key'),
  load: file('load', streamRange, event),
  loadBackward: file('load_backward', streamRange, event),
  categories: file('categories', 'until bigint?', 'category, streams, events, last_position'),
  categoryCounts: file(
    'category_counts',
    'after bigint, until bigint',
    'category, streams, events, last_position',
  ),
  categoryNames: file('category_names', '', 'category, last_position'),
  scope: file('scope', 'categories text[]', 'channel, key'),
  history: file('history', 'position bigint?', 'standby, server, head, id?, newest_position?, newest_id?'),
  snapshot: file(
    'snapshot',
    'category text, streamId text, name text, snapshotVersion int, below bigint',
    'version, position, state',
  ),
  saveSnapshot: file(
    'save_snapshot',
    'category text, streamId text, name text, snapshotVersion int, version int, eventId uuid, state json',
    '',
  ),
}

const notifyForAll = {
  publisher: file('publisher', 'countsWaiting boolean', 'closed, left_ms?, waiting'),
  claimPublishing: value('claim_publishing?', 'owner uuid'),
  renewPublishing: value('renew_publishing', 'owner uuid, published bigint, coalescing boolean'),
  publish: rows(
    'publish',
    'keys int[], bounds bigint[], free bigint, head bigint',
    'keys, bounds, free, head, settled, held, commits',
  ),
  endPublishing: value('end_publishing', 'owner uuid'),
  notificationQueue: file('notification_queue', '', 'usage'),
}

const subscribe = {
  subscribe: value(
    'subscribe',
    'name text, categories text[]?, types text[]?, streamId text?, partitions int, position bigint, tags text[]?',
  ),
  wakeChannel: value('wake_channel', 'subscription text'),
  /** A row for each partition. If there is none, it returns one row, with the share. */
  claim: rows(
    'claim',
    `subscription text, owner text, leaseMs int, ${owned}, revision uuid?, paused boolean`,
    'partition?, epoch?, reached?, fresh?, share, wait_ms?, paused',
  ),
  advance: value('advance', `subscription text, leaseMs int, ${owned}, positions bigint[]`),
  release: value('release', `subscription text, owner text, ${owned}, positions bigint[], leaving boolean`),
  park: value(
    'park',
    'subscription text, partition int, epoch bigint, category text, streamId text, position bigint, attempts int, error text, replaying boolean',
  ),
  parkedStreams: rows(
    'parked_streams',
    'subscription text, partitions int[]',
    'partition, category, stream_id, position, attempts, replaying, discarded',
  ),
  replayedEvents: file(
    'replayed_events',
    'category text, streamId text, from bigint, until bigint, limit bigint, types text[]?, maxBytes bigint, tags text[]?',
    event,
  ),
  replayed: value(
    'replayed',
    'subscription text, partition int, epoch bigint, category text, streamId text, position bigint?',
  ),
  lag: file('lag', 'name text', 'lag, lag_is_estimate, held_back, held_back_ms'),
}

const administer = {
  subscriptions: file(
    'subscriptions',
    'names text[]?, exact boolean',
    'name, categories?, types?, stream_id?, tags?, partitions, position, lag, lag_is_estimate, streams, parked, parked_is_estimate, ahead, held_back, held_back_ms, paused_ms?',
  ),
  alterSubscription: value('alter_subscription', 'name text, changes jsonb'),
  resetSubscription: value('reset_subscription', 'name text, position bigint'),
  resetToEnd: file('reset_to_end', 'name text', 'reset_subscription'),
  pauseSubscription: value('pause_subscription', 'name text'),
  resumeSubscription: value('resume_subscription', 'name text'),
  pausing: file('pausing', 'name text', 'executors'),
  deleteSubscription: value('delete_subscription', 'name text'),
  subscriptionNamed: query(
    'subscription_named',
    'select name from meowmx.subscriptions where name = $1',
    'name text',
    'name',
  ),
  parked: file(
    'parked',
    'subscription text, limit bigint, maxBytes bigint',
    `attempts, error?, parked_ms, ${event}`,
  ),
  discardParked: rows(
    'discard_parked',
    'subscription text, streamId text, category text?, reason text',
    'discarded, replayed',
  ),
  discarded: file(
    'discarded',
    'subscription text, limit bigint',
    `attempts, error, reason, discarded_by, discarded_ms, ${event}`,
  ),
  replayParked: value('replay_parked', 'subscription text, streamId text?'),
  reached: file('reached', 'subscription text, position bigint', 'reached?, changing, channel'),
  settled: file('settled', 'subscription text, position bigint', 'reached, changing, channel'),
  settling: file('settling', 'names text[]?', 'name, position'),
  awaitPosition: value(
    'await_position',
    'subscription text, position bigint, id uuid, whileMs double precision',
  ),
  leavePosition: file('leave_position', 'subscription text, position bigint, id uuid', ''),
  stallers: rows('stallers', '', 'pid?, application?, database, since_ms?, query?, category?, every'),
  erase: file('erase', 'category text, streamId text, reason text?', `erased, ${noEvent}`),
  markTestStore: file('mark_test_store', '', ''),
  resetStore: file('reset_store', '', ''),
  /** Runs in the database of the original library's tables, on a plain client. */
  legacyTables: file('legacy_tables', 'tables name[], schema text?', 'schema, table, columns, database'),
  legacyPosition: file('legacy_position', 'category text, transaction numeric, id numeric', 'position'),
}

const project = {
  registerProjection: rows(
    'register_projection',
    'name text, version int, schemaName text, expose text, subscription text, setupHash text, selectorHash text, compares boolean',
    'generation, schema_name, subscription, is_set_up, setup_hash',
  ),
  projectionSetUp: query(
    'projection_set_up',
    'update meowmx.projections set is_set_up = true where schema_name = $1',
    'schema text',
    '',
  ),
  generations: query(
    'generations',
    `select p.generation, p.schema_name, p.subscription, p.is_set_up, p.is_live, p.completed_at, p.activated_at, live.version
     from meowmx.projections p left join meowmx.projections live on live.name = p.name and live.is_live
     where p.name = $1 and p.version = $2 and p.dropped_at is null order by p.generation`,
    'name text, version int',
    'generation, schema_name, subscription, is_set_up, is_live, completed_at?, activated_at?, live_version?',
  ),
  projectionChannel: value('projection_channel', 'name text'),
  enterProjection: file('enter_projection', 'schema text', 'rebuilding, path'),
  projections: file(
    'projections',
    'name text?',
    'name, version, generation, state, schema_name, subscription, expose, tables, position, horizon, lag, lag_is_estimate, parked_streams, is_owned, created_ms, completed_ms?, activated_ms?',
  ),
  liveProjection: query(
    'live_projection',
    'select version, generation, subscription from meowmx.projections where name = $1 and is_live',
    'name text',
    'version, generation, subscription',
  ),
  switchProjection: value(
    'switch_projection',
    'name text, version int, generation int?, how text, withinMs int',
  ),
  rebuildProjection: rows('rebuild_projection', 'name text', 'version, generation'),
  dropProjection: value('drop_projection', 'name text, version int, generation int?'),
  dropTablesOf: value('drop_tables_of', 'name text, version int, generation int?'),
}

const timers = {
  scheduleTimer: value(
    'schedule_timer',
    'key text, due timestamptz?, inMs double precision?, category text, streamId text, write json',
  ),
  unscheduleTimer: value('unschedule_timer', 'key text'),
  scheduled: file(
    'scheduled',
    'prefix text, limit bigint',
    'key, due, category, stream_id, write, attempts, error?, next?',
  ),
  timerChannel: value('timer_channel', ''),
  nextTimers: file('next_timers', '', 'in_ms, at'),
  postponeTimer: file('postpone_timer', 'key text, due bigint', ''),
  claimTimers: rows('claim_timers', 'limit int, key text?', 'key, due, attempts, category, stream_id, write'),
  settleTimers: value(
    'settle_timers',
    'fired text[], failed text[], due bigint[], errors text[], againMs double precision?[]',
  ),
}

const processes = {
  lockInstances: rows(
    'lock_instances',
    'process text, ids text[], initial json, version int',
    'id, state, version, ended, now_ms',
  ),
  claimProcessTimers: rows(
    'claim_process_timers',
    'process text, limit int, id text?, name text?',
    'id, name, due, attempts, cause, state, version, now_ms',
  ),
  saveInstances: value(
    'save_instances',
    'process text, version int, keepMs double precision, instances json, cancelled json, scheduled json',
  ),
  failProcessTimer: value(
    'fail_process_timer',
    'process text, id text, name text, due bigint, error text, againMs double precision?',
  ),
  postponeProcessTimer: file('postpone_process_timer', 'process text, id text, name text, due bigint', ''),
  retryProcessTimers: value('retry_process_timers', 'process text, id text?'),
  deleteProcessInstance: value('delete_process_instance', 'process text, id text'),
  nextProcessTimers: file('next_process_timers', 'process text', 'in_ms, at'),
  processInstances: file(
    'process_instances',
    'process text, id text?, limit bigint',
    'id, state, version, updated_ms, ended, timers',
  ),
  processManagers: file('process_managers', '', 'name, instances, ended, timers, late, failed'),
}

const manageSchema = {
  session: file('session', '', 'isolation, inherits_lock_timeout?, is_read_only'),
  encoding: always(
    query(
      'encoding',
      'select pg_catalog.current_database(), pg_catalog.getdatabaseencoding()',
      '',
      'database, encoding',
    ),
  ),
  hasSchema: always(
    query('has_schema', 'select pg_catalog.to_regnamespace($1) is not null', 'name text', 'has_schema'),
  ),
  hasTables: always(
    query(
      'has_tables',
      'select pg_catalog.to_regclass($1) is not null, pg_catalog.to_regclass($2) is not null',
      'migrations text, functions text',
      'migrations, functions',
    ),
  ),
  installed: always(file('installed', '', installed)),
  /** Of a store that was migrated before there was a table of functions. */
  installedFiles: always(
    query('installed_files', 'select id, null, null, null from meowmx.migrations', '', installed),
  ),
  recordFile: always(
    query('record_file', 'insert into meowmx.migrations (id, name) values ($1, $2)', 'id int, name text', ''),
  ),
  recordFunctions: always(file('record_functions', 'names text[], hashes text[], version text', '')),
  forgetFunctions: always(
    query('forget_functions', 'delete from meowmx.functions where name = any ($1)', 'names text[]', ''),
  ),
  unbind: always(file('unbind', 'schema name, functions text[]', 'statement')),
  dropFunctions: always(
    file('drop_functions', 'schema name, triggers text[], functions text[]', 'statement'),
  ),
  rowSecurity: always(file('row_security', 'schema name', 'table, role, is_readable')),
  health: always(
    file(
      'health',
      'events regclass, sequence regclass, functions text[]',
      'triggers_off?, cache, rises, maximum, highest?, last_value, astray?, astray_to?',
    ),
  ),
}

const doctor = {
  whoAndWhere: query('who_and_where', 'select current_user, current_database()', '', 'role, database'),
  clock: query('clock', `select (date_part('epoch', clock_timestamp()) * 1000)::bigint`, '', 'ms'),
  /** A text that is different for each server and each database. */
  serverIdentity: query(
    'server_identity',
    `select current_database() || ' ' || pg_postmaster_start_time()`,
    '',
    'identity',
  ),
  notify: query('notify', `select pg_catalog.pg_notify($1, '')`, 'channel text', 'notified'),
  doctorServer: file(
    'doctor_server',
    '',
    'version, version_number, is_standby, fsync, full_page_writes, synchronous_commit, autovacuum, connections, max_connections, sees_all, encoding, queue_usage',
  ),
  doctorRights: file(
    'doctor_rights',
    'schema name',
    'role, is_there, usage, read, append, subscribe, manage, publish, migrate',
  ),
  doctorObjects: file(
    'doctor_objects',
    'schema name, functions text[], bodies text[], triggers text[], indexes text[]',
    'kind, name, state',
  ),
  doctorLeases: file('doctor_leases', '', 'subscription, owner, partitions, expired_ms'),
  doctorTransactions: file(
    'doctor_transactions',
    'longMs bigint',
    'pid?, application?, role?, state?, age_ms, gid?',
  ),
  seesAllTransactions: query(
    'sees_all_transactions',
    `select pg_has_role('pg_read_all_stats', 'usage')`,
    '',
    'sees_all',
  ),
  doctorBloat: file('doctor_bloat', 'schema name', 'table, dead, live, is_off'),
}

/** The statements of a store, each with its parameters and its columns. */
export const statements = {
  ...append,
  ...read,
  ...notifyForAll,
  ...subscribe,
  ...administer,
  ...project,
  ...timers,
  ...processes,
  ...manageSchema,
  ...doctor,
}
