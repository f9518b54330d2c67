DROP TABLE retired_runs;
DROP TABLE log_epochs;
