-- As functions_1.sql; its first settlement stays for workers of the release before, which run side by side with these.

CREATE OR REPLACE FUNCTION taskyard_settle_2(
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
            ', "parent_id": ', coalesce(to_json(gone.parent_id)::text, 'null'),
            -- What was delayed on purpose has not waited until then.
            CASE WHEN gone.due_at > gone.created_at THEN concat(', "due_at": ', to_json(gone.due_at)) END,
            ', ', substr(p_meta, 2)
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
