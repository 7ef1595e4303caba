-- What somebody has to say of a cause of letters.
CREATE TABLE dead_letter_notes (
    fingerprint text        PRIMARY KEY,
    text        text        NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    who         text        NOT NULL,
    noted_at    timestamptz NOT NULL DEFAULT now()
);
