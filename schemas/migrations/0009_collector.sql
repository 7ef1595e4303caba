-- What a data collector is told beside runs: nodes, and compliance reports.
CREATE TABLE nodes (
    organization   text        NOT NULL CHECK (length(organization) <= 255),
    name           text        NOT NULL CHECK (length(name) <= 255),
    run_id         uuid,
    status         text        CHECK (status IN ('started', 'success', 'failure')),
    reboot         boolean     NOT NULL DEFAULT false,
    start_time     timestamptz,
    end_time       timestamptz,
    told_at        timestamptz,
    client_version text,
    environment    text,
    policy_name    text,
    policy_group   text,
    run_list       json,
    node_hash      text,
    node           json COMPRESSION lz4,
    pinged_at      timestamptz,
    ping_extra     json,
    first_seen     timestamptz NOT NULL DEFAULT now(),
    last_seen      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization, name)
);
CREATE TABLE compliance_reports (
    id           uuid        PRIMARY KEY,
    organization text,
    node_name    text,
    node_uuid    text,
    end_time     timestamptz NOT NULL,
    status       text        NOT NULL CHECK (status IN ('passed', 'failed', 'skipped', 'waived')),
    passed       integer     NOT NULL,
    failed       integer     NOT NULL,
    skipped      integer     NOT NULL,
    waived       integer     NOT NULL,
    environment  text,
    policy_name  text,
    policy_group text,
    profiles     json COMPRESSION lz4 NOT NULL,
    extra        json COMPRESSION lz4,
    stored_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX compliance_reports_end_time ON compliance_reports (end_time);
CREATE INDEX compliance_reports_stored_at ON compliance_reports USING brin (stored_at) WITH (autosummarize = on);
