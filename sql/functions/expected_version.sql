-- The number for the expected version that append() was given.
create or replace function expected_version(_expected text) returns int
language plpgsql immutable
as $$
begin
  case
    when _expected = 'any' then return -2;
    when _expected = 'stream-exists' then return -3;
    when _expected in ('no-stream', '-1') then return -1;
    when _expected ~ '^[0-9]{1,10}$' and _expected::bigint <= 2147483647 then return _expected;
    else
      raise exception 'the expected version must be ''any'', ''no-stream'', ''stream-exists'' or a version from 0 to 2147483647, got %',
        coalesce(quote_literal(left(_expected, 80)), 'null') using errcode = 'invalid_parameter_value';
  end case;
end
$$;
