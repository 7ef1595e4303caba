-- What machines know of each other: a row of each supervisor, and the queues that operators hold back.
CREATE TABLE supervisors (
    host     text        NOT NULL,
    folder   text        NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now(),
    said     json        NOT NULL,
    request  json,
    asked_at timestamptz,
    answer   json,
    PRIMARY KEY (host, folder)
) WITH (fillfactor = 50);

CREATE TABLE pauses (
    queue text        NOT NULL,
    host  text        NOT NULL,
    who   text        NOT NULL,
    why   text        NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, host)
);
