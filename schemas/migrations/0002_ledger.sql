-- What was taken from senders, for the ledger: `confirmed` by the broker to a shim, `unconfirmed` when a shim had
-- to answer 503 though the broker may have the message, `taken` from a Chef server's exchange by a worker,
-- `redelivered` when the broker brought a message again that leaves no row of its own.
CREATE TABLE acknowledgements (
    counted_at timestamptz NOT NULL DEFAULT now(),
    door       text        NOT NULL,
    outcome    text        NOT NULL CHECK (outcome IN ('confirmed', 'unconfirmed', 'taken', 'redelivered')),
    count      integer     NOT NULL CHECK (count > 0)
);
CREATE INDEX acknowledgements_counted_at ON acknowledgements (counted_at);

-- Rows are stored in the order of this time, so a few bytes for each stretch of the table find an hour of it.
CREATE INDEX actions_stored_at ON actions USING brin (stored_at) WITH (autosummarize = on);
