-- The ledger's hottest verbs, as functions: PostgreSQL plans each of their statements once in a session, where it
-- would plan a statement that comes from outside every time, for longer than it takes to execute.
--
-- Planned once also means planned for whatever the tables held then. An empty table speaks for reading it from end to
-- end; with a million rows in it that would be the end of the pipeline. Hence "enable_seqscan = off".
--
-- A function that is in use is never changed: a new one gets a new number, so that old and new code run side by side.

CREATE OR REPLACE FUNCTION taskyard_enqueue_1(
    p_id text, p_task text, p_domain text, p_queue text, p_headers text, p_properties text, p_body text,
    p_attempt integer, p_at_most_once boolean, p_due_in double precision, p_due_at timestamptz,
    p_expires_in double precision, p_expires_at timestamptz, p_root_id text, p_parent_id text
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    added record;
BEGIN
    IF EXISTS (
        SELECT FROM django_celery_results_taskresult
        WHERE task_id = p_id AND status IN ('SUCCESS', 'FAILURE', 'REVOKED', 'IGNORED')
    ) THEN
        RETURN FALSE;
    END IF;

    INSERT INTO routing_message AS message (
        id, task, domain, queue, headers, properties, body, state, epoch, attempt, runs, at_most_once, due_at,
        expires_at, root_id, parent_id, created_at
    ) VALUES (
        p_id, p_task, p_domain, p_queue, p_headers, p_properties, p_body, 'PENDING', 1, p_attempt, 0, p_at_most_once,
        coalesce(p_due_at, clock_timestamp() + make_interval(secs => coalesce(p_due_in, 0))),
        coalesce(p_expires_at, clock_timestamp() + make_interval(secs => p_expires_in)),
        p_root_id, p_parent_id, clock_timestamp()
    )
    ON CONFLICT (id) DO UPDATE SET
        task = excluded.task, queue = excluded.queue, headers = excluded.headers, properties = excluded.properties,
        body = excluded.body, state = 'PENDING', attempt = excluded.attempt, runs = 0,
        at_most_once = excluded.at_most_once, due_at = excluded.due_at, expires_at = excluded.expires_at,
        epoch = message.epoch + 1
    WHERE message.state = 'REPLACED'
    RETURNING message.epoch, message.due_at INTO added;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;

    INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures)
    VALUES (p_id, added.epoch, p_queue, added.due_at, 0);
    IF added.epoch = 1 THEN
        INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (p_domain, 1, 0, 0);
    END IF;
    RETURN TRUE;
END $$;

-- Many at once: an array of objects, in which no id is twice. Returns the ids that are new, as an array.
CREATE OR REPLACE FUNCTION taskyard_enqueue_many_1(p_rows json)
RETURNS json LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids json;
BEGIN
    WITH new AS (
        SELECT * FROM ROWS FROM (json_to_recordset(p_rows) AS (
            id text, task text, domain text, queue text, headers text, properties text, body text, attempt integer,
            at_most_once boolean, due_in double precision, due_at timestamptz, expires_in double precision,
            expires_at timestamptz, root_id text, parent_id text
        )) WITH ORDINALITY AS v (
            id, task, domain, queue, headers, properties, body, attempt, at_most_once, due_in, due_at, expires_in,
            expires_at, root_id, parent_id, position
        )
    ), added AS (
        INSERT INTO routing_message AS message (
            id, task, domain, queue, headers, properties, body, state, epoch, attempt, runs, at_most_once, due_at,
            expires_at, root_id, parent_id, created_at
        )
        SELECT id, task, domain, queue, headers, properties, body, 'PENDING', 1, attempt, 0, at_most_once,
            coalesce(due_at, clock_timestamp() + make_interval(secs => coalesce(due_in, 0))),
            coalesce(expires_at, clock_timestamp() + make_interval(secs => expires_in)),
            root_id, parent_id, clock_timestamp()
        FROM new
        WHERE NOT EXISTS (
            SELECT FROM django_celery_results_taskresult AS result
            WHERE result.task_id = new.id AND result.status IN ('SUCCESS', 'FAILURE', 'REVOKED', 'IGNORED')
        )
        ORDER BY position
        ON CONFLICT (id) DO UPDATE SET
            task = excluded.task, queue = excluded.queue, headers = excluded.headers,
            properties = excluded.properties, body = excluded.body, state = 'PENDING', attempt = excluded.attempt,
            runs = 0, at_most_once = excluded.at_most_once, due_at = excluded.due_at,
            expires_at = excluded.expires_at, epoch = message.epoch + 1
        WHERE message.state = 'REPLACED'
        RETURNING message.id, message.domain, message.queue, message.epoch, message.due_at
    ), published AS (
        INSERT INTO routing_outbox (message_id, epoch, queue, due_at, failures)
        SELECT id, epoch, queue, due_at, 0 FROM added
    ), accepted AS (
        INSERT INTO routing_tally (domain, accepted, finished, pruned)
        SELECT domain, count(*), 0, 0 FROM added WHERE epoch = 1 GROUP BY domain
    )
    SELECT coalesce(json_agg(id), '[]') INTO ids FROM added;
    RETURN ids;
END $$;

-- The number of bodies started for this attempt, this one included; NULL if the message is not to be run.
CREATE OR REPLACE FUNCTION taskyard_claim_1(
    p_id text, p_epoch integer, p_owner bigint, p_pid integer, p_run_limit integer
) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    started integer;
BEGIN
    UPDATE routing_message AS message
    SET owner = p_owner, pid = p_pid, started_at = clock_timestamp(), state = 'STARTED', progress = NULL,
        runs = CASE WHEN message.owner = p_owner AND message.pid = p_pid THEN runs ELSE runs + 1 END
    WHERE id = p_id AND epoch = p_epoch AND state <> 'REPLACED'
        AND ((message.owner = p_owner AND message.pid = p_pid) OR (
            (message.owner IS NULL OR NOT EXISTS (
                SELECT FROM routing_process AS process WHERE process.id = message.owner AND process.dead_at IS NULL
            ))
            AND runs < CASE WHEN at_most_once THEN 1 ELSE p_run_limit END
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
        ))
        AND NOT EXISTS (
            SELECT FROM django_celery_results_taskresult
            WHERE task_id = p_id AND status IN ('SUCCESS', 'FAILURE', 'REVOKED', 'IGNORED')
        )
    RETURNING runs INTO started;
    RETURN started;
END $$;

-- FALSE if the row is no longer the caller's, or its id had an outcome: what follows from this one is not to be written. p_pid NULL: whichever child of the owner runs it.
CREATE OR REPLACE FUNCTION taskyard_settle_1(
    p_id text, p_epoch integer, p_owner bigint, p_pid integer, p_replaced boolean,
    p_status text, p_result text, p_traceback text, p_meta text, p_args text, p_kwargs text, p_worker text,
    p_periodic_task_name text, p_content_type text, p_content_encoding text, p_dead_letter text, p_error text
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    gone routing_message;
    stored integer;
BEGIN
    IF p_replaced THEN
        DELETE FROM routing_message WHERE id = p_id AND state = 'REPLACED' RETURNING * INTO gone;
    ELSE
        -- An unowned row of this epoch is as good as one's own: a database that crashed may have lost the claim.
        DELETE FROM routing_message
        WHERE id = p_id AND epoch = p_epoch
            AND (owner IS NULL OR (owner = p_owner AND (p_pid IS NULL OR pid = p_pid)))
        RETURNING * INTO gone;
    END IF;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;

    -- What another release stored for a task that had not ended yet gives way.
    INSERT INTO django_celery_results_taskresult AS result (
        task_id, task_name, status, result, traceback, meta, task_args, task_kwargs, worker, periodic_task_name,
        content_type, content_encoding, date_created, date_started, date_done
    ) VALUES (
        gone.id, gone.task, p_status, p_result, p_traceback,
        -- The row's own, so that the books name the domain that accepted the task, whoever settles it.
        concat(
            '{"domain": ', to_json(gone.domain), ', "queue": ', to_json(gone.queue), ', "attempt": ', gone.attempt,
            ', "runs": ', gone.runs, ', "root_id": ', coalesce(to_json(gone.root_id)::text, 'null'),
            ', "parent_id": ', coalesce(to_json(gone.parent_id)::text, 'null'), ', ', substr(p_meta, 2)
        ),
        p_args, p_kwargs, p_worker, p_periodic_task_name, p_content_type, p_content_encoding,
        gone.created_at, gone.started_at, clock_timestamp()
    )
    ON CONFLICT (task_id) DO UPDATE SET
        status = excluded.status, result = excluded.result, traceback = excluded.traceback, meta = excluded.meta,
        task_args = excluded.task_args, task_kwargs = excluded.task_kwargs, worker = excluded.worker,
        date_started = excluded.date_started, date_done = excluded.date_done
    WHERE result.status NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'IGNORED');
    GET DIAGNOSTICS stored = ROW_COUNT;

    -- An outcome that was there already stays, and nothing follows from this second one, which is counted as gone.
    INSERT INTO routing_tally (domain, accepted, finished, pruned) VALUES (gone.domain, 0, 1, 1 - stored);
    DELETE FROM routing_uniquekey
    WHERE task_id = gone.id AND (expires_at IS NULL OR expires_at <= clock_timestamp());
    IF p_dead_letter IS NOT NULL AND stored > 0 THEN
        INSERT INTO routing_deadletter (
            task_id, task, domain, queue, headers, properties, body, reason, error, traceback, attempt, runs,
            enqueued_at, dead_at
        ) VALUES (
            gone.id, gone.task, gone.domain, gone.queue, gone.headers, gone.properties, gone.body, p_dead_letter,
            p_error, p_traceback, gone.attempt, gone.runs, gone.created_at, clock_timestamp()
        );
    END IF;
    RETURN stored > 0;
END $$;

-- For each queue: seconds until its first publication is due, and until when there is certainly none, if rows are
-- committed within p_late seconds; p_since is where to begin looking. One probe of the index for each: min() over all rows would read a million of them.
CREATE OR REPLACE FUNCTION taskyard_due_1(p_queues text[], p_since timestamptz[], p_late double precision)
RETURNS TABLE (queue text, seconds double precision, empty_until timestamptz, took double precision)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH known AS (
        SELECT * FROM unnest(p_queues, p_since) WITH ORDINALITY AS k (name, since, position)
    ), first AS (
        SELECT position, name, (
            SELECT outbox.due_at FROM routing_outbox AS outbox
            WHERE outbox.queue = known.name AND outbox.due_at >= coalesce(since, '-infinity')
            ORDER BY outbox.due_at LIMIT 1
        ) AS due_at, clock_timestamp() AS looked_at
        FROM known
    )
    SELECT name, extract(epoch FROM due_at - clock_timestamp())::float8,
        least(due_at, statement_timestamp() - make_interval(secs => p_late)),
        extract(epoch FROM looked_at - lag(looked_at, 1, statement_timestamp()) OVER (ORDER BY position))::float8
    FROM first;
END $$;

-- Takes what is due out of the outbox: at most p_limit, with headers and bodies of p_bytes together, but at least one.
-- NULL as body: no message of this epoch is left. "due" counts those that could have been taken.
--
-- The time is the statement's: clock_timestamp() would change from row to row, so that no index could find what is due.
-- Rows of one moment come in the index's own order, about that of their insertion: sorting a million of them for each
-- batch would take seconds.
CREATE OR REPLACE FUNCTION taskyard_take_1(p_queue text, p_since timestamptz, p_limit integer, p_bytes bigint)
RETURNS TABLE (
    id bigint, message_id text, epoch integer, failures integer, attempt integer, headers text, properties text,
    body text, due bigint
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH taken AS MATERIALIZED (
        SELECT o.id, o.message_id, o.epoch, o.failures, o.due_at FROM routing_outbox AS o
        WHERE o.queue = p_queue AND o.due_at >= coalesce(p_since, '-infinity'::timestamptz)
            AND o.due_at <= statement_timestamp()
        ORDER BY o.due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ), sized AS (
        SELECT taken.*, m.attempt, m.headers, m.properties, m.body,
            sum(coalesce(octet_length(m.headers) + octet_length(m.body), 0)) OVER earlier AS total,
            row_number() OVER earlier AS position
        FROM taken LEFT JOIN routing_message AS m ON m.id = taken.message_id AND m.epoch = taken.epoch
        WINDOW earlier AS (ORDER BY taken.due_at, taken.id)
    ), fitting AS (
        SELECT * FROM sized WHERE total <= p_bytes OR position = 1
    ), gone AS (
        DELETE FROM routing_outbox USING fitting WHERE routing_outbox.id = fitting.id
    )
    SELECT f.id, f.message_id::text, f.epoch, f.failures, f.attempt, f.headers, f.properties, f.body,
        (SELECT count(*) FROM taken)
    FROM fitting AS f ORDER BY f.position;
END $$;
