-- The exception of a client that ended the run in order to reboot; a success before it still holds.
ALTER TABLE runs ADD COLUMN reboot json;
