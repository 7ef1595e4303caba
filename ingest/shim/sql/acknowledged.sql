-- The shim's half of the ledger; loaded by consumers/database/statements.py.

-- name: insert
INSERT INTO acknowledgements (counted_at, door, outcome, count) VALUES (%(at)s, %(door)s, %(outcome)s, %(count)s);

-- name: insert_told
-- Of these nothing is left but what their senders heard.
INSERT INTO tallies (counted_at, outcome, rule, count) VALUES (%(at)s, 'told', %(rule)s, %(count)s);

-- name: sample
-- How a minute went, written again while it lasts.
INSERT INTO samples (minute, host, process, said) VALUES (%(minute)s, %(host)s, %(process)s, %(said)s::json)
ON CONFLICT (minute, host, process) DO UPDATE SET said = EXCLUDED.said;
