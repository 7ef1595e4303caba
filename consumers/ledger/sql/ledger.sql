-- The ledger of a running system, by hour; loaded by consumers/database/statements.py.

-- name: acknowledged
-- What senders were told we have, and what they were told to send again though the broker may have it.
SELECT date_trunc('hour', counted_at) AS hour,
       coalesce(sum(count) FILTER (WHERE outcome = 'confirmed'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'taken'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'unconfirmed'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'redelivered'), 0)::bigint
FROM acknowledgements WHERE counted_at >= %(since)s GROUP BY 1;

-- name: stored
-- The tables in which messages leave their trace, one after the other.
SELECT hour, sum(rows)::bigint FROM ({tables}) AS found GROUP BY 1;

-- name: stored_in
SELECT date_trunc('hour', {column}) AS hour, count(*) AS rows FROM {table} WHERE {column} >= %(since)s GROUP BY 1;

-- name: skipped
SELECT date_trunc('hour', counted_at),
       coalesce(sum(count) FILTER (WHERE outcome = 'during_run'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'duplicate'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'merged'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'told'), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE outcome = 'pruned'), 0)::bigint
FROM tallies WHERE counted_at >= %(since)s GROUP BY 1;

-- name: letters
-- A message that came three times is one letter and was acknowledged three times; failed replays were not sent by
-- anybody; of a resolved letter one copy is a row, a duplicate or a skip now, and counted there.
SELECT date_trunc('hour', first_seen),
       sum(attempts - failed_replays - (state = 'resolved')::integer)::bigint
FROM dead_letters WHERE first_seen >= %(since)s GROUP BY 1;

-- name: drift
SELECT kind, door, member, difference, sum(count)::bigint AS count,
       to_char(min(first_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS first_seen,
       to_char(max(last_seen) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_seen,
       max(example) AS example
FROM drift GROUP BY kind, door, member, difference
ORDER BY sum(count) DESC, kind, door, member, difference;

-- name: late_runs
SELECT hour, actions, registering FROM late_runs WHERE hour >= %(since)s;
