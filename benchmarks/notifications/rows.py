"""Deliveries of two months, made by the database: most belong to large notifications, and one address got very many."""

from routing.ledger import database

CHUNK = 500_000
EACH, LARGEST = 10_000, 100_000
"""Deliveries of most notifications, and of the oldest."""
ALONE = 100
"""One delivery in so many is all of its notification; those are the newest."""
PEOPLE = 10
"""One address for so many deliveries; but every 500th goes to the busy one."""
BUSY = "ops@example.org"
SUPPRESSED = 50
"""One suppression, and one choice of a recipient, for so many deliveries."""
INDEXES = {
    "notifications_of_address": "(address_key, id DESC)",
    "notifications_not_sent": "(state, id) WHERE NOT (state IN ('sent', 'pending'))",
}

_AT = "now() - interval '60 days' + {} * (interval '60 days' / %(rows)s)"
_NOTIFICATIONS = f"""
    INSERT INTO notifications_notification (
        id, key, fingerprint, channel, category, lane, is_merge, subject, text, html, context, from_email, reply_to,
        recipients, consumed, is_complete, created_at, created_by
    )
    SELECT md5(n::text)::uuid, 'bench:' || n, '', 'email', (ARRAY['account', 'news', 'news'])[1 + n %% 3],
        (ARRAY['bulk', 'default', 'bulk'])[1 + n %% 3], false, 'Letter ' || n, repeat('This is a letter. ', 50), '',
        '{{}}', 'shop@example.org', '[]', %(each)s, %(each)s, true, {_AT.format("n")}, 'bench'
    FROM generate_series(%(first)s, %(last)s, %(each)s) AS n
"""  # noqa: S608  (our own fragments)
_DELIVERIES = f"""
    INSERT INTO notifications_delivery (
        notification_id, position, repeat, channel, address, address_key, context, sealed, state, reason, answer,
        attempts_made, task_id, digest, created_at, finished_at
    )
    SELECT md5((i - (i - %(first)s) %% %(each)s)::text)::uuid, (i - %(first)s) %% %(each)s, i, 'email',
        'Ann <' || address || '>', address, '{{"name": "Ann"}}', '', state, '', '250 2.0.0 Ok: queued as ' || i,
        1, gen_random_uuid(), md5(i::text) || md5(i::text), {_AT.format("i")}, {_AT.format("i")} + interval '9 s'
    FROM (
        SELECT i, CASE i %% 500 WHEN 0 THEN '{BUSY}'
                ELSE 'r' || i::bigint * 7919 %% (%(rows)s / {PEOPLE}) || '@example.org' END AS address,
            (ARRAY['failed', 'bounced', 'suppressed', 'cancelled'] || array_fill('sent'::text, ARRAY[96]))
                [1 + floor(100 * random())::int] AS state
        FROM generate_series(%(begin)s, %(end)s) AS i
    ) AS numbers
"""  # noqa: S608
_ATTEMPTS = """
    INSERT INTO notifications_attempt (
        delivery_id, number, host, started_at, ended_at, outcome, code, answer, task_id, worker
    )
    SELECT id, 1, 'smtp.example.org:587', finished_at - interval '0.2 s', finished_at, 'accepted', 250, answer,
        task_id, 'notifications.bulk@app-1'
    FROM notifications_delivery WHERE id > %s
"""
_SUPPRESSIONS = f"""
    INSERT INTO notifications_suppression (channel, address_key, reason, detail, created_at, created_by)
    SELECT 'email', 'r' || i || '@example.org', (ARRAY['refused', 'bounced', 'complained'])[1 + i %% 3],
        '550 5.1.1 No such user', {_AT.format(f"i * {SUPPRESSED}")}, ''
    FROM generate_series(1, %(rows)s / {SUPPRESSED}) AS i
"""  # noqa: S608
_PREFERENCES = f"""
    INSERT INTO notifications_preference (address_key, category, wanted, changed_at, source)
    SELECT 'r' || i || '@example.org', 'news', i %% 9 = 0, {_AT.format(f"i * {SUPPRESSED}")}, 'one-click'
    FROM generate_series(1, %(rows)s / {SUPPRESSED}) AS i
"""  # noqa: S608
_FEEDBACK = f"""
    INSERT INTO notifications_feedback (
        fingerprint, kind, channel, address_key, message_id, detail, raw, effect, source, received_at
    )
    SELECT md5(i::text), 'hard_bounce', 'email', 'r' || i || '@example.org', '', '550 5.1.1 No such user', '',
        'suppressed', 'bench', {_AT.format(f"i * {SUPPRESSED}")}
    FROM generate_series(1, %(rows)s / {SUPPRESSED}) AS i
"""  # noqa: S608


def make(rows: int) -> None:
    """What keys guard is not checked, and the larger indexes are made afterwards, which is faster than to keep them."""
    database.execute("SET session_replication_role = replica")
    database.execute("SET synchronous_commit = off")
    database.execute("SET maintenance_work_mem = '512MB'")
    for name in INDEXES:
        database.execute(f"DROP INDEX {name}")
    largest, alone = min(LARGEST, rows // 10), rows // ALONE
    _fill(rows, first=1, last=largest, each=largest)
    _fill(rows, first=largest + 1, last=rows - alone, each=EACH)
    _fill(rows, first=rows - alone + 1, last=rows, each=1)
    database.execute(_ATTEMPTS, [rows * 9 // 10])
    for statement in (_SUPPRESSIONS, _PREFERENCES, _FEEDBACK):
        database.execute(statement, {"rows": rows})
    for name, made in INDEXES.items():
        database.execute(f"CREATE INDEX {name} ON notifications_delivery {made}")
    database.execute("SET session_replication_role = origin")
    database.execute("SET synchronous_commit = on")
    database.execute("VACUUM (ANALYZE)")


def _fill(rows: int, *, first: int, last: int, each: int) -> None:
    """Notifications of so many deliveries each, these by their numbers."""
    said = {"rows": rows, "first": first, "last": last, "each": each}
    database.execute(_NOTIFICATIONS, said)
    for begin in range(first, last + 1, CHUNK):
        database.execute(_DELIVERIES, {**said, "begin": begin, "end": min(begin + CHUNK - 1, last)})
