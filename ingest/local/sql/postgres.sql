-- For a private PostgreSQL in single-user mode; loaded by consumers/database/statements.py.

-- name: create_database
CREATE DATABASE ingest;

-- name: set_password
-- Single-user mode takes no parameters; {password} is hexadecimal digits of our own.
ALTER USER ingest PASSWORD '{password}';
