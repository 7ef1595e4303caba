-- An operator's correction of a letter's envelope: kind, door, organization, node, run_id; those that it names.
ALTER TABLE dead_letters ADD COLUMN edited_envelope json;
