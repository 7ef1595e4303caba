-- Actions that were stored before their run was known, by the hour; counted once it is past, minute by minute.
CREATE TABLE late_runs (
    hour        timestamptz PRIMARY KEY,
    counted_to  timestamptz NOT NULL,
    actions     bigint      NOT NULL,
    registering bigint      NOT NULL CHECK (registering <= actions)
);
