-- The shim's half of the ledger; loaded by consumers/database/statements.py.

-- name: insert
INSERT INTO acknowledgements (counted_at, door, outcome, count) VALUES (%(at)s, %(door)s, %(outcome)s, %(count)s);
