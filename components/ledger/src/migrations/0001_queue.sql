-- What is still to be posted: one row for each event of the inbox until its entry, or its dead letter, is written.
CREATE TABLE IF NOT EXISTS queue (
  inbox_id  INTEGER PRIMARY KEY,              -- the event
  due_at    INTEGER NOT NULL,                 -- ms: no worker takes it before; while one has it, the end of its lease
  lease     INTEGER,                          -- the worker that has it
  attempts  INTEGER NOT NULL DEFAULT 0,       -- how often a worker took it
  reason    TEXT,                             -- why it waits
  waits_for TEXT                              -- what ends the waiting: 'click:…', 'event:…', 'rate'
) STRICT

CREATE INDEX IF NOT EXISTS queue_by_due ON queue (due_at)

CREATE INDEX IF NOT EXISTS queue_by_wait ON queue (waits_for) WHERE waits_for IS NOT NULL

-- Accepted and queued are one commit.
CREATE TRIGGER IF NOT EXISTS inbox_queued AFTER INSERT ON inbox BEGIN
  INSERT INTO queue (inbox_id, due_at) VALUES (NEW.id, NEW.received_at);
END

-- Whose run goes on by itself.
CREATE TABLE IF NOT EXISTS run (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  worker INTEGER NOT NULL,
  until  INTEGER NOT NULL                     -- ms: without a sign of life, another one's may begin
) STRICT

-- Payloads that are over their retention are found without reading all that are not.
CREATE INDEX IF NOT EXISTS inbox_by_age ON inbox (received_at) WHERE payload <> ''

-- Events that cannot be posted, until they are replayed. A discarded one stays for the length of the retention.
CREATE TABLE IF NOT EXISTS dead_letter (
  inbox_id     INTEGER PRIMARY KEY,           -- the event
  reason       TEXT    NOT NULL,              -- docs/ledger.md has the list
  detail       TEXT    NOT NULL,              -- the last error, with what to do
  attempts     INTEGER NOT NULL,
  died_at      INTEGER NOT NULL,              -- ms
  discarded_at INTEGER,                       -- ms; NULL: may be replayed
  discarded_as TEXT                           -- the reason that was given
) STRICT

CREATE INDEX IF NOT EXISTS dead_letter_by_reason ON dead_letter (reason, inbox_id)

-- A replay is one insert here: back into the queue as it was accepted, due at once.
CREATE VIEW IF NOT EXISTS replay (inbox_id, due_at) AS SELECT NULL, NULL

CREATE TRIGGER IF NOT EXISTS replayed INSTEAD OF INSERT ON replay BEGIN
  INSERT INTO queue (inbox_id, due_at) SELECT inbox_id, NEW.due_at FROM dead_letter
    WHERE inbox_id = NEW.inbox_id AND discarded_at IS NULL;
  DELETE FROM dead_letter WHERE inbox_id = NEW.inbox_id AND discarded_at IS NULL;
END
