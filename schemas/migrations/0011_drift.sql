-- What senders write otherwise than is documented, by what it is: lines that are added and summed up.
CREATE TABLE drift (
    kind       text        NOT NULL,
    door       text        NOT NULL,
    member     text        NOT NULL,
    difference text        NOT NULL CHECK (difference IN (
        'type', 'enum', 'pattern', 'missing', 'time', 'name', 'unknown', 'unreadable', 'other'
    )),
    count      bigint      NOT NULL CHECK (count > 0),
    example    text        NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now()
);
