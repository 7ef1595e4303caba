-- Letters know who sent them and what they are about, so that they are found by it.
ALTER TABLE dead_letters
    ADD COLUMN sender    json,
    ADD COLUMN sent_by   text,
    ADD COLUMN entity    text,
    ADD COLUMN requestor text,
    ADD COLUMN plain     bytea COMPRESSION lz4;
