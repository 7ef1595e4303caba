-- outside a transaction: workers write events all the while; interrupted, it is begun anew.
DROP INDEX CONCURRENTLY IF EXISTS dead_letter_events_replay;
CREATE INDEX CONCURRENTLY dead_letter_events_replay ON dead_letter_events (replay, what) INCLUDE (letter_id) WHERE replay IS NOT NULL;
