-- Times are microseconds since 1970 in UTC, durations microseconds, ids the 16 bytes of a UUID, `*_sum` xxh3 checksums.
-- Sets of words are checked by a chain of OR: for IN, SQLite builds a table anew for each row that it writes.

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT;

-- One version of a module. The newest of a name is the one that was published last.
CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    entries TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    published_no INTEGER NOT NULL,
    UNIQUE (name, digest)
) STRICT;

CREATE INDEX versions_newest ON versions (name, published_no DESC);

-- Siblings have neighbouring ids, so the primary key is also the index of a run's children.
CREATE TABLE runs (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    parent_id BLOB,
    parent_generation INTEGER,
    seq INTEGER,
    root_id BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'flow' OR kind = 'task'),
    version_id INTEGER NOT NULL,
    entry TEXT NOT NULL,
    name TEXT,
    input_sum INTEGER NOT NULL,
    settings TEXT,
    upstream TEXT,
    idempotency_key TEXT,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    rescues INTEGER NOT NULL,
    -- How many events its flow had been told when its worker was lost last.
    rescued_at_no INTEGER NOT NULL DEFAULT 0,
    -- Attempts that use up no retry: lost ones, and those before it was retried by hand.
    uncounted INTEGER NOT NULL DEFAULT 0,
    result_sum INTEGER,
    failure TEXT,
    label TEXT,
    created_at INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    fuel INTEGER NOT NULL,
    memory_peak_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    worker_id INTEGER,
    -- The version of the journal's meaning that the run was begun with; 0 where a flow keeps none.
    journal_version INTEGER NOT NULL DEFAULT 1,
    -- Of a flow that holds no worker and goes on from its journal: when, at the latest.
    wake_at INTEGER,
    -- Of a flow: the first generation whose completed children later ones may take over.
    reuse_from INTEGER NOT NULL DEFAULT 1,
    -- Of a child: the run of an earlier generation whose result it has.
    reused_from BLOB,
    -- Of a task: the run whose result it has from the cache.
    cached_from BLOB,
    -- Of a child: a checksum of what the flow asked for.
    request_sum INTEGER,
    -- Of a child NULL: it is the flow.
    trigger TEXT,
    deployment TEXT,
    -- The occurrence of one of its schedules.
    schedule_id TEXT,
    occurrence_at INTEGER,
    -- Of a flow's child: the one of an earlier generation that did not complete, and that it goes on for.
    retry_of BLOB,
    -- When it was retried by hand last.
    retried_at INTEGER,
    -- Since when it is paused.
    paused_at INTEGER,
    -- When its log and those of all below it were removed last.
    logs_pruned_at INTEGER,
    -- How the children of a flow ended, as JSON, so that a list need not count them.
    child_states TEXT,
    -- Of a child that is over: the number of that event among those of its flow, which are else in the journal.
    event_no INTEGER,
    -- How far it is, as JSON.
    progress TEXT,
    -- The beginning of a long result, so that a list need not read it.
    result_preview TEXT,
    -- What it holds, and waits for, across runs, as JSON; NULL where that is nothing.
    across TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    -- The limit across runs that it was turned away by: it is not looked at until somebody lets go of that. And its place
    -- in the order of those that wait for the same.
    blocked_on TEXT,
    blocked_order INTEGER,
    -- The large ones come last: what stands before them is read without them.
    input TEXT NOT NULL,
    result TEXT,
    CHECK (
        CASE WHEN finished_at IS NULL
            THEN state = 'scheduled' OR state = 'running' OR state = 'cancelling'
            ELSE state = 'completed' OR state = 'failed' OR state = 'crashed' OR state = 'cancelled'
        END
    ),
    CHECK ((parent_id IS NULL) = (seq IS NULL) AND (parent_id IS NULL) = (parent_generation IS NULL)),
    CHECK (
        CASE WHEN trigger IS NULL
            THEN parent_id IS NOT NULL
            ELSE trigger = 'schedule' OR trigger = 'backfill' OR trigger = 'api' OR trigger = 'cli'
        END
    ),
    CHECK ((schedule_id IS NULL) = (occurrence_at IS NULL)),
    CHECK ((result IS NULL) = (result_sum IS NULL))
) STRICT, WITHOUT ROWID;

-- A child is carried out by its flow alone. A step of priority is worth a minute of waiting.
CREATE INDEX runs_due ON runs (kind, scheduled_at - priority * 60000000, scheduled_at)
    WHERE state = 'scheduled' AND worker_id IS NULL AND parent_id IS NULL AND blocked_on IS NULL;
CREATE INDEX runs_blocked ON runs (blocked_on, blocked_order) WHERE blocked_on IS NOT NULL;
CREATE INDEX runs_parked ON runs (wake_at) WHERE wake_at IS NOT NULL AND parent_id IS NULL;
CREATE INDEX runs_unfinished ON runs (state, scheduled_at) WHERE finished_at IS NULL;
-- The second column spares who only counts the rows of the table.
CREATE INDEX runs_top ON runs (id, parent_id) WHERE parent_id IS NULL;
CREATE INDEX runs_of_deployment ON runs (deployment, id) WHERE deployment IS NOT NULL;
-- An occurrence is run once.
CREATE UNIQUE INDEX runs_of_schedule ON runs (deployment, schedule_id, occurrence_at) WHERE schedule_id IS NOT NULL;

-- `spec` is the JSON of what it says, beside its schedules.
CREATE TABLE deployments (
    name TEXT PRIMARY KEY,
    module TEXT NOT NULL,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where each schedule is. `next_at` is its next occurrence, NULL where there is no more; `due_at` is when that is run or
-- skipped, NULL also where the schedule or its deployment is paused.
CREATE TABLE schedules (
    deployment TEXT NOT NULL,
    id TEXT NOT NULL,
    place INTEGER NOT NULL,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER,
    due_at INTEGER,
    PRIMARY KEY (deployment, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deployments_of_module ON deployments (module);

-- Occurrences that were not run: `n` from `first_at` to `last_at`.
CREATE TABLE skips (
    no INTEGER PRIMARY KEY,
    deployment TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    n INTEGER NOT NULL,
    why TEXT NOT NULL,
    detail TEXT NOT NULL,
    run_id BLOB,
    at INTEGER NOT NULL
) STRICT;

CREATE INDEX skips_of_schedule ON skips (deployment, schedule_id, no);

-- Which run a caller's key stands for.
CREATE TABLE idempotency_keys (
    module TEXT NOT NULL,
    entry TEXT NOT NULL,
    key TEXT NOT NULL,
    run_id BLOB NOT NULL,
    PRIMARY KEY (module, entry, key)
) STRICT, WITHOUT ROWID;

-- Which run's result stands for those of runs that would do the same, the newest of each key.
CREATE TABLE cache (
    key BLOB PRIMARY KEY CHECK (length(key) = 32),
    run_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cache_of_run ON cache (run_id);

-- Attempts that were not the last of their run: the last one stands in the run's own row.
CREATE TABLE attempts (
    run_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    failure TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    memory_peak_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    worker_id INTEGER,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- Changes of state that the times of a run and its attempts do not tell.
CREATE TABLE history (
    no INTEGER PRIMARY KEY,
    run_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE INDEX history_of_run ON history (run_id);

-- What a flow was told beside the ends of its children, which stand in their own rows. A timer's `at` is its deadline,
-- its key what was asked for.
CREATE TABLE journal (
    run_id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    no INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'timer' OR kind = 'wait' OR kind = 'signal' OR kind = 'timeout' OR kind = 'sent'
        OR kind = 'variable'),
    key TEXT NOT NULL,
    value TEXT,
    at INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (run_id, generation, no)
) STRICT, WITHOUT ROWID;

-- Signals that were sent to a run, in the order in which they came. `taken_at` is when its flow was told; a flow that
-- sends one names itself and the place in its journal, so that it is sent once.
CREATE TABLE signals (
    no INTEGER PRIMARY KEY,
    run_id BLOB NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    sum INTEGER NOT NULL,
    at INTEGER NOT NULL,
    taken_at INTEGER,
    sender_id BLOB,
    sender_generation INTEGER,
    sender_no INTEGER
) STRICT;

CREATE INDEX signals_of_run ON signals (run_id, name);
CREATE UNIQUE INDEX signals_sent ON signals (sender_id, sender_generation, sender_no) WHERE sender_id IS NOT NULL;

-- 32 random bytes from which every run's streams of random numbers follow.
CREATE TABLE seed (
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;

INSERT INTO seed (value) VALUES (randomblob(32));

-- `line` counts the lines of one attempt, so that a line is never stored twice.
CREATE TABLE logs (
    no INTEGER PRIMARY KEY,
    root_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 4),
    message TEXT NOT NULL
) STRICT;

CREATE INDEX logs_of_root ON logs (root_id);
CREATE UNIQUE INDEX logs_of_run ON logs (run_id, attempt, line);

-- Runs at the top that are over, in the order of their ends, those first whose logs were removed since: what is too old
-- is found without looking at the rest.
CREATE INDEX runs_over ON runs (deployment, (coalesce(logs_pruned_at, 0) < finished_at), finished_at)
    WHERE parent_id IS NULL AND finished_at IS NOT NULL;

-- Runs that are gone while some of what they left is not: they go from the top of a tree down, bit by bit. `generation` is
-- the newest that may have children.
CREATE TABLE remains (
    root_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (root_id, run_id)
) STRICT, WITHOUT ROWID;

-- The events that the server's own rules tell of, whatever run they are of.
CREATE TABLE notify_always (
    event TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What somebody is to be told of, until it is written out as notifications: the end of a run, or skipped occurrences.
CREATE TABLE occasions (
    no INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    at INTEGER NOT NULL,
    run_id BLOB,
    skip_no INTEGER
) STRICT;

-- Runs end in many ways, and this sees all of them; no top-level run is inserted when it is over already. What cannot be
-- read as JSON has no rules, and keeps no run from ending.
CREATE TRIGGER runs_end AFTER UPDATE OF finished_at ON runs
WHEN NEW.parent_id IS NULL AND NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL
BEGIN
    INSERT INTO occasions (event, at, run_id)
    SELECT NEW.state, NEW.finished_at, NEW.id
    WHERE EXISTS (SELECT 1 FROM notify_always WHERE event = NEW.state)
        OR EXISTS (
            SELECT 1 FROM deployments d, json_each(iif(json_valid(d.spec), d.spec, '{}'), '$.notify') rule,
                json_each(iif(rule.type = 'object', rule.value, '{}'), '$.on') event
            WHERE d.name = NEW.deployment AND event.value = NEW.state);
END;

CREATE TRIGGER skips_missed AFTER INSERT ON skips WHEN NEW.why = 'missed'
BEGIN
    INSERT INTO occasions (event, at, skip_no) VALUES ('missed', NEW.first_at, NEW.no);
END;

-- Whom to tell of what: by which rule, named by its deployment (nothing where it is the server's), `/` and its hash.
-- `body` is what is sent, until that is over; `next_at` is when it is tried next, NULL where it was taken (without an
-- `error`) or given up. Of a run, `at` is when it ended or was late; else when the first missed occurrence was to be.
CREATE TABLE notifications (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    rule TEXT NOT NULL,
    target TEXT NOT NULL,
    event TEXT NOT NULL,
    at INTEGER NOT NULL,
    run_id BLOB,
    deployment TEXT,
    schedule_id TEXT,
    body TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    tried_at INTEGER,
    next_at INTEGER,
    error TEXT
) STRICT;

-- Nobody is told of the same twice.
CREATE UNIQUE INDEX notifications_of_run ON notifications (run_id, event, at, rule) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX notifications_of_schedule ON notifications (deployment, schedule_id, at, rule) WHERE run_id IS NULL;
CREATE INDEX notifications_of_deployment ON notifications (deployment, no) WHERE deployment IS NOT NULL;
CREATE INDEX notifications_due ON notifications (next_at, rule) WHERE next_at IS NOT NULL;

-- What runs show of their work, the newest of each key. `call` counts what one attempt has written, so that a flow that
-- is called again writes nothing twice.
CREATE TABLE artifacts (
    no INTEGER PRIMARY KEY,
    root_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    call INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'markdown' OR kind = 'table' OR kind = 'link'),
    title TEXT,
    description TEXT,
    at INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX artifacts_of_run ON artifacts (run_id, key);
CREATE INDEX artifacts_of_root ON artifacts (root_id);
CREATE INDEX artifacts_of_key ON artifacts (key);

-- Values that people keep for runs to read, as JSON text.
CREATE TABLE variables (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What runs hold, or will, by its name: those that are over are removed when somebody looks. `may_wait` is 0 for those
-- that no limit keeps from running.
CREATE TABLE holds (
    name TEXT NOT NULL,
    run_id BLOB NOT NULL,
    may_wait INTEGER NOT NULL,
    PRIMARY KEY (name, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_of_run ON holds (run_id);

-- The starts that a rate counts, as long as it does.
CREATE TABLE starts (
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    run_id BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (name, at, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX starts_expired ON starts (expires_at);

-- How many runs with a tag may run at a time.
CREATE TABLE tag_limits (
    tag TEXT PRIMARY KEY,
    max INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
