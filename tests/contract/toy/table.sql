
-- What somebody wants to have written down of a node, one row a remark.
CREATE TABLE remarks (
    -- The sender's id.
    id         uuid        PRIMARY KEY,
    -- By the writer's clock.
    written_at timestamptz NOT NULL,
    -- Who wrote it.
    author     text        NOT NULL,
    -- Of which node.
    node_name  text        NOT NULL,
    -- What.
    text       text        NOT NULL,
    -- How important it is, up to 100.
    weight     integer,
    -- What belongs to it, as sent, but for what redaction cut.
    data       json COMPRESSION lz4,
    -- Members of the message that no column is for.
    extra      json COMPRESSION lz4,
    -- When it was committed.
    stored_at  timestamptz NOT NULL DEFAULT now()
);
