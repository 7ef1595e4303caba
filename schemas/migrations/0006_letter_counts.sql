-- Counts new dead letters by the hour and organization, so that they are bounded: a line a batch that has some, never
-- changed, so that workers don't wait for each other. An organization without a name, or with a long one, is ''.
CREATE TABLE letter_counts (
    hour         timestamptz NOT NULL DEFAULT date_trunc('hour', now()),
    organization text        NOT NULL CHECK (length(organization) <= 255),
    letters      integer     NOT NULL CHECK (letters > 0)
);
CREATE INDEX letter_counts_hour ON letter_counts (hour, organization) INCLUDE (letters);
