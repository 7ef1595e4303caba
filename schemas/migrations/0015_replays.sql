-- A replay is a thing to be looked at, paused and stopped from anywhere: what it is, how far it is, what is wanted of it.
ALTER TABLE dead_letter_replays
    ADD COLUMN name           text,
    ADD COLUMN accepts        text    NOT NULL DEFAULT 'hopeful' CHECK (accepts IN ('fixed', 'hopeful', 'all')),
    ADD COLUMN rate           real CHECK (rate > 0),
    ADD COLUMN until_failures integer CHECK (until_failures > 0),
    ADD COLUMN state          text    NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'paused', 'stopped', 'done')),
    ADD COLUMN wanted         text    NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'stop')),
    ADD COLUMN wanted_by      text,
    ADD COLUMN wanted_why     text,
    ADD COLUMN host           text,
    ADD COLUMN heard_at       timestamptz,
    ADD COLUMN total          bigint,
    ADD COLUMN looked_at      bigint  NOT NULL DEFAULT 0,
    ADD COLUMN passed_over    bigint  NOT NULL DEFAULT 0,
    ADD COLUMN not_taken      bigint  NOT NULL DEFAULT 0;
UPDATE dead_letter_replays SET state = 'done' WHERE finished_at IS NOT NULL;
UPDATE dead_letter_replays SET accepts = CASE
    WHEN (request::json ->> 'only_fixed')::boolean THEN 'fixed' WHEN (request::json ->> 'all')::boolean THEN 'all'
    ELSE 'hopeful' END;
ALTER TABLE dead_letter_replays ADD CHECK ((finished_at IS NULL) = (state NOT IN ('stopped', 'done')));
-- By which replay a letter was sent, and what became of that.
ALTER TABLE dead_letter_events ADD COLUMN replay integer;
