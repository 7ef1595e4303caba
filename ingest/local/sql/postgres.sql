-- For a private PostgreSQL in single-user mode; loaded by consumers/database/statements.py.

-- name: create_database
CREATE DATABASE ingest;
