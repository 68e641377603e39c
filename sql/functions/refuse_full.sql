-- Raises the error that a stream has no versions left for the new events. Nothing of the call is written.
create or replace function refuse_full(_category text, _stream_id text, _last int, _size int) returns void
language plpgsql
as $$
begin
  raise exception 'stream "%/%" is at version %, and the last possible version is 2147483646: there is no room for % more',
    _category, _stream_id, _last, _size using errcode = 'MW009', hint = 'Go on in a new stream.';
end
$$;
