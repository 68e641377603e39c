import type pg from 'pg'

/** One write of a checkpoint. */
export interface Written {
  readonly subscription: string
  readonly partition: number
  readonly position: number
  readonly epoch: number
  readonly owner: string | null
  readonly oldOwner: string | null
  readonly oldEpoch: number | null
  /** Process id of the executor that wrote it. */
  readonly writer: number | null
  /** In ms since 1970; earlier than its commit. */
  readonly at: number
}

/** A stream was parked from a position on, or (null) is no longer parked. */
export interface ParkedRow {
  readonly subscription: string
  readonly category: string
  readonly streamId: string
  readonly position: number | null
  readonly at: number
}

type Sql = Pick<pg.Pool, 'query'>

/** From now on the store records every change of its checkpoints and its parked streams, and who wrote it. */
export async function startAudit(sql: Sql, schema: string): Promise<void> {
  await sql.query(`
    create table ${schema}.audit (
      n bigint generated always as identity primary key, subscription text, partition int, position bigint, epoch bigint, owner text,
      old_owner text, old_epoch bigint, writer int, at double precision default extract(epoch from clock_timestamp()) * 1000
    );
    create table ${schema}.audit_aside (
      n bigint generated always as identity primary key, subscription text, category text, stream_id text, position bigint,
      at double precision default extract(epoch from clock_timestamp()) * 1000
    );
    create function ${schema}.audit() returns trigger language plpgsql as $$
    begin
      insert into ${schema}.audit (subscription, partition, position, epoch, owner, old_owner, old_epoch, writer)
      values (new.subscription, new.partition, new.position, new.epoch, new.owner, old.owner, old.epoch,
              nullif(current_setting('faults.pid', true), '')::int);
      return null;
    end $$;
    create function ${schema}.audit_aside() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        insert into ${schema}.audit_aside (subscription, category, stream_id)
        values (old.subscription, old.category, old.stream_id);
      else
        insert into ${schema}.audit_aside (subscription, category, stream_id, position)
        values (new.subscription, new.category, new.stream_id, new.position);
      end if;
      return null;
    end $$;
    create trigger audit after insert or update on ${schema}.checkpoints
      for each row execute function ${schema}.audit();
    create trigger audit after insert or update or delete on ${schema}.parked_events
      for each row execute function ${schema}.audit_aside();`)
}

/** In the order of writing: a writer locks the row until it commits. */
export async function writtenCheckpoints(sql: Sql, schema: string): Promise<Written[]> {
  const { rows } = await sql.query(
    `select subscription, partition, position::float8, epoch::float8, owner, old_owner as "oldOwner", old_epoch::float8 as "oldEpoch",
            writer, at
     from ${schema}.audit order by n`,
  )
  return rows
}

export async function parkedRows(sql: Sql, schema: string): Promise<ParkedRow[]> {
  const { rows } = await sql.query(
    `select subscription, category, stream_id as "streamId", position::float8, at from ${schema}.audit_aside order by n`,
  )
  return rows
}
