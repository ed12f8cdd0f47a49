"""The tables of the ledger. Money is in millionths of a US cent, times in seconds of the epoch."""

from typing import Final

from runapi_mcp.postgres.schemas import TableSchema

LEDGER_TABLES: Final = TableSchema(
    "ledger",
    (
        """
        CREATE TABLE runapi_mcp.pictures (
            key text PRIMARY KEY,
            caller text NOT NULL,
            vendor text NOT NULL,
            model text NOT NULL,
            output_resolution text,
            fingerprint text NOT NULL,
            call_id text NOT NULL,
            number integer NOT NULL,
            count integer NOT NULL,
            arguments json,
            request text,
            ready boolean NOT NULL,
            sources json NOT NULL,
            save_as text,
            price bigint,
            cost bigint,
            status text NOT NULL,
            task_id text,
            image_urls text[] NOT NULL,
            files text[] NOT NULL DEFAULT '{}',
            file_hashes text[] NOT NULL DEFAULT '{}',
            originals json NOT NULL DEFAULT '[]',
            error text,
            sandbox boolean NOT NULL,
            begun_at double precision NOT NULL,
            made_at double precision,
            ended_at double precision,
            running_seconds double precision,
            drawn_seconds double precision,
            sent_at double precision,
            open_sends integer NOT NULL DEFAULT 0,
            sends_out integer NOT NULL DEFAULT 0,
            unanswered boolean NOT NULL DEFAULT false,
            absent_at double precision,
            handed_over_at double precision,
            settled_at double precision,
            -- Whether the price of what is intended is set aside: for a day after its last send.
            set_aside boolean NOT NULL DEFAULT true,
            -- The day whose budget it counts on. What is intended counts on each day.
            day_begins double precision NOT NULL DEFAULT 'Infinity',
            spent bigint NOT NULL GENERATED ALWAYS AS (
                CASE status WHEN 'completed' THEN coalesce(cost, price, 0)
                            WHEN 'failed' THEN coalesce(cost, 0)
                            ELSE 0 END) STORED,
            reserved bigint NOT NULL GENERATED ALWAYS AS (
                CASE WHEN status IN ('completed', 'failed', 'refused') THEN 0
                     WHEN status = 'intended' AND NOT set_aside THEN 0
                     ELSE coalesce(price, 0) END) STORED
        );
        CREATE INDEX pictures_by_caller ON runapi_mcp.pictures (caller, begun_at);
        CREATE INDEX pictures_by_age ON runapi_mcp.pictures (begun_at);
        CREATE INDEX pictures_by_call ON runapi_mcp.pictures (call_id, number);
        CREATE INDEX pictures_by_task ON runapi_mcp.pictures (task_id) WHERE task_id IS NOT NULL;
        CREATE INDEX pictures_alike ON runapi_mcp.pictures (fingerprint, caller);
        CREATE INDEX pictures_unsettled ON runapi_mcp.pictures (caller, begun_at)
            WHERE settled_at IS NULL;
        CREATE INDEX pictures_in_doubt ON runapi_mcp.pictures (caller, sent_at)
            WHERE status = 'intended';
        CREATE INDEX pictures_running ON runapi_mcp.pictures (begun_at)
            WHERE status IN ('intended', 'pending', 'processing', 'unknown');
        CREATE INDEX pictures_undelivered ON runapi_mcp.pictures (begun_at)
            WHERE settled_at IS NULL AND handed_over_at IS NULL;
        CREATE INDEX pictures_drawn ON runapi_mcp.pictures (model, output_resolution, ended_at)
            WHERE drawn_seconds IS NOT NULL;

        -- What a caller's pictures cost, by day. The row without end is of what is intended, and
        -- whoever writes of a caller's pictures locks it first: so nobody waits in a circle.
        CREATE TABLE runapi_mcp.budgets (
            caller text NOT NULL,
            day_begins double precision NOT NULL,
            spent bigint NOT NULL DEFAULT 0,
            reserved bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (caller, day_begins)
        ) WITH (fillfactor = 50);

        CREATE FUNCTION runapi_mcp.move_budget() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN
                UPDATE runapi_mcp.budgets
                SET spent = spent - OLD.spent, reserved = reserved - OLD.reserved
                WHERE caller = OLD.caller AND day_begins = OLD.day_begins;
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO runapi_mcp.budgets AS budget
                VALUES (NEW.caller, NEW.day_begins, NEW.spent, NEW.reserved)
                ON CONFLICT (caller, day_begins) DO UPDATE
                SET spent = budget.spent + excluded.spent,
                    reserved = budget.reserved + excluded.reserved;
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER budget_of_new AFTER INSERT OR DELETE ON runapi_mcp.pictures
            FOR EACH ROW EXECUTE FUNCTION runapi_mcp.move_budget();
        CREATE TRIGGER budget_of_changed AFTER UPDATE ON runapi_mcp.pictures
            FOR EACH ROW WHEN ((OLD.spent, OLD.reserved, OLD.day_begins)
                               IS DISTINCT FROM (NEW.spent, NEW.reserved, NEW.day_begins))
            EXECUTE FUNCTION runapi_mcp.move_budget();

        -- How often each caller has ordered the same. Idempotency keys are made of it, so it is
        -- never forgotten.
        CREATE TABLE runapi_mcp.questions (
            caller text NOT NULL,
            fingerprint text NOT NULL,
            calls bigint NOT NULL,
            PRIMARY KEY (caller, fingerprint)
        );
        CREATE FUNCTION runapi_mcp.count_question() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO runapi_mcp.questions AS question
            VALUES (NEW.caller, NEW.fingerprint, 1)
            ON CONFLICT (caller, fingerprint) DO UPDATE SET calls = question.calls + 1;
            RETURN NULL;
        END $$;
        CREATE TRIGGER question_of_new AFTER INSERT ON runapi_mcp.pictures
            FOR EACH ROW WHEN (NEW.number = 1) EXECUTE FUNCTION runapi_mcp.count_question();

        CREATE TABLE runapi_mcp.uploads (
            caller text NOT NULL,
            sha256 text NOT NULL,
            url text NOT NULL,
            expires_at double precision NOT NULL,
            PRIMARY KEY (caller, sha256)
        );
        CREATE TABLE runapi_mcp.forgetting (
            before double precision NOT NULL,
            proposed_at double precision NOT NULL
        );
        -- What was committed lately, for whoever never heard whether it was.
        CREATE TABLE runapi_mcp.commits (
            id uuid PRIMARY KEY,
            made_at double precision NOT NULL
        );
        """,
    ),
)
