-- How the system went, a row a minute of each process, for as long as it is shown.
CREATE TABLE samples (
    minute  timestamptz NOT NULL,
    host    text        NOT NULL,
    process text        NOT NULL,
    said    json        NOT NULL,
    PRIMARY KEY (minute, host, process)
) WITH (fillfactor = 50);
