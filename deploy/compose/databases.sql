-- Run once, by the first start of the postgres service, as the owner of the ledger's database.

CREATE DATABASE mlflow;
CREATE DATABASE predictions;

\connect predictions

-- The application that serves the model writes here; retraind only ever reads it.
CREATE TABLE predictions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp  timestamptz NOT NULL DEFAULT now(),
    version    text,
    amount     double precision,
    hour       integer,
    country    text,
    prediction integer NOT NULL,
    actual     integer
);
CREATE INDEX predictions_timestamp ON predictions (timestamp);
