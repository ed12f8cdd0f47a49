"""The schema of the ledger's file: what made it, from version to version."""

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE calls (
        key TEXT PRIMARY KEY,
        caller TEXT NOT NULL,
        model TEXT NOT NULL,
        output_resolution TEXT,
        fingerprint TEXT NOT NULL,
        arguments TEXT,
        price_cents REAL,
        status TEXT NOT NULL,
        task_id TEXT,
        image_urls TEXT NOT NULL DEFAULT '[]',
        files TEXT NOT NULL DEFAULT '[]',
        cost_cents REAL,
        error TEXT,
        sandbox INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        held_until REAL,
        begun_at REAL NOT NULL,
        made_at REAL,
        ended_at REAL,
        running_seconds REAL,
        drawn_seconds REAL,
        delivered_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX calls_by_time ON calls (caller, begun_at);
    CREATE INDEX calls_by_task ON calls (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX calls_by_age ON calls (begun_at);
    CREATE INDEX calls_drawn ON calls (model, output_resolution, ended_at)
        WHERE drawn_seconds IS NOT NULL;
    CREATE INDEX calls_undelivered ON calls (caller, fingerprint, begun_at)
        WHERE delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost');
    CREATE INDEX calls_open ON calls (begun_at)
        WHERE delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost');
    CREATE INDEX calls_in_doubt ON calls (caller, begun_at) WHERE status = 'intended';
    """,
    """
    ALTER TABLE calls ADD COLUMN save_as TEXT;
    ALTER TABLE calls ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE calls ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;
    CREATE TABLE uploads (
        caller TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        url TEXT NOT NULL,
        expires_at REAL NOT NULL,
        PRIMARY KEY (caller, sha256)
    ) WITHOUT ROWID;
    """,
    """
    DROP INDEX calls_by_time;
    CREATE INDEX calls_by_time
        ON calls (caller, begun_at, made_at, status, cost_cents, price_cents);
    """,
    """
    CREATE TABLE pictures (
        key TEXT PRIMARY KEY,
        caller TEXT NOT NULL,
        model TEXT NOT NULL,
        output_resolution TEXT,
        fingerprint TEXT NOT NULL,
        call_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        count INTEGER NOT NULL,
        arguments TEXT,
        request TEXT,
        ready INTEGER NOT NULL,
        sources TEXT NOT NULL,
        save_as TEXT,
        price_cents REAL,
        status TEXT NOT NULL,
        task_id TEXT,
        image_urls TEXT NOT NULL,
        files TEXT NOT NULL DEFAULT '[]',
        file_hashes TEXT NOT NULL DEFAULT '[]',
        cost_cents REAL,
        error TEXT,
        sandbox INTEGER NOT NULL,
        begun_at REAL NOT NULL,
        made_at REAL,
        ended_at REAL,
        running_seconds REAL,
        drawn_seconds REAL,
        sent_at REAL,
        open_sends INTEGER NOT NULL DEFAULT 0,
        sends_out INTEGER NOT NULL DEFAULT 0,
        unanswered INTEGER NOT NULL DEFAULT 0,
        handed_over_at REAL,
        settled_at REAL
    ) WITHOUT ROWID;
    INSERT INTO pictures
        SELECT key, caller, model, output_resolution, fingerprint, key, 1, 1, arguments, NULL,
            ready, sources, save_as, price_cents, status, task_id, image_urls, files,
            '[]', cost_cents, error, sandbox, begun_at, made_at, ended_at, running_seconds,
            drawn_seconds,
            CASE WHEN status = 'intended' AND ready THEN begun_at END,
            status = 'intended' AND ready, 0, status = 'intended' AND ready, delivered_at,
            CASE WHEN status IN ('failed', 'refused', 'lost') THEN coalesce(ended_at, begun_at)
                 ELSE delivered_at END
        FROM calls;
    DROP TABLE calls;
    ALTER TABLE pictures RENAME TO calls;
    CREATE INDEX calls_by_time
        ON calls (caller, begun_at, made_at, status, cost_cents, price_cents);
    CREATE INDEX calls_made_late ON calls (caller, made_at) WHERE made_at - begun_at > 86400;
    CREATE INDEX calls_by_task ON calls (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX calls_by_call ON calls (call_id, number);
    CREATE INDEX calls_by_age ON calls (begun_at);
    CREATE INDEX calls_alike ON calls (caller, fingerprint, settled_at);
    CREATE INDEX calls_unsettled ON calls (caller, handed_over_at) WHERE settled_at IS NULL;
    CREATE INDEX calls_undelivered ON calls (begun_at)
        WHERE settled_at IS NULL AND handed_over_at IS NULL;
    CREATE INDEX calls_running ON calls (begun_at)
        WHERE status IN ('intended', 'pending', 'processing', 'unknown');
    CREATE INDEX calls_in_doubt ON calls (caller, sent_at) WHERE status = 'intended';
    CREATE INDEX calls_drawn ON calls (model, output_resolution, ended_at)
        WHERE drawn_seconds IS NOT NULL;
    CREATE TABLE forgetting (before REAL NOT NULL, proposed_at REAL NOT NULL);
    """,
    """
    ALTER TABLE calls ADD COLUMN originals TEXT NOT NULL DEFAULT '[]';
    """,
    """
    ALTER TABLE calls ADD COLUMN vendor TEXT NOT NULL DEFAULT 'runapi';
    ALTER TABLE calls ADD COLUMN absent_at REAL;
    CREATE INDEX calls_alike_elsewhere ON calls (vendor, fingerprint) WHERE vendor != 'runapi';
    """,
)
"""What leads from each version of the schema to the next. Never changed, only added to."""

VERSION: Final = len(MIGRATIONS)
