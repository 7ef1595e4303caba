-- Harm done to a database; loaded by consumers/database/statements.py.

-- name: terminate
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name LIKE 'chef-ingest%';

-- name: make_read_only
ALTER DATABASE {database} SET default_transaction_read_only = on;

-- name: make_writable
ALTER DATABASE {database} RESET default_transaction_read_only;

-- name: lock
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
