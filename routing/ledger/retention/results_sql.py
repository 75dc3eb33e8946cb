"""The statements about results past their time, in both dialects; a window is a condition of its own.

What is to go is the table expression ``found``: id, domain and outcome by whose rule it goes, and in whose books it is.
"""

from dataclasses import dataclass

from routing.ledger import audit, database
from routing.ledger.results import REMOVED_AT
from routing.ledger.retention.policy import OUTCOMES, SUCCESS

TABLE = "django_celery_results_taskresult"
_CASES = " ".join(f"WHEN '{status}' THEN '{name}'" for status, name in OUTCOMES.items())
_OUTCOME = f"CASE result.status {_CASES} END"


Place = tuple[str, int | None]
"""In the walk: a moment as the database writes it, and of the rows of that moment the last key; None for all."""


@dataclass(frozen=True)
class Deed:
    """What is done to the rows found: ``join`` names them on PostgreSQL. ``which`` of the window it is about."""

    begin: str
    join: str
    which: str = ""


DELETE = Deed(f"DELETE FROM {TABLE} AS result", "USING")
# What holds nothing, as the ledger and Celery write it, is left alone: an UPDATE writes the whole row anew.
# The error of a failure, and its traceback, is the outcome itself.
EMPTY = Deed(
    f"""
    UPDATE {TABLE} AS result SET task_args = NULL, task_kwargs = NULL,
        result = CASE WHEN {_OUTCOME} = '{SUCCESS}' THEN NULL ELSE result END,
        meta = CASE
            WHEN coalesce(trim(meta), '') = '' OR trim(substr(meta, 2)) = '}}'
                THEN '{{"{REMOVED_AT}": "' || %(now)s || '"}}'
            WHEN substr(meta, 1, 1) = '{{' THEN '{{"{REMOVED_AT}": "' || %(now)s || '", ' || substr(meta, 2)
            ELSE meta
        END
    """,
    "FROM",
    f"""
    AND (coalesce(result.task_args, '[]') NOT IN ('[]', '"()"')
        OR coalesce(result.task_kwargs, '{{}}') NOT IN ('{{}}', '"{{}}"')
        OR ({_OUTCOME} = '{SUCCESS}' AND coalesce(result.result, 'null') <> 'null'))
    """,
)


def stamp(name: str) -> str:
    """A parameter that is a time as text, as the database wrote it."""
    return f"CAST(%({name})s AS timestamptz)" if database.on_postgresql() else f"%({name})s"


def end(window: str) -> str:
    """Of the rows behind the first ``length`` - 1 of a window, the first moment, and one ``length`` rows later.

    It reads the index alone.
    """
    return f"""
        SELECT CAST(MIN(date_done) AS text) AS at, CAST(MAX(date_done) AS text) AS later FROM (
            SELECT date_done FROM {TABLE} AS result
            WHERE {window} ORDER BY date_done LIMIT %(length)s + 1 OFFSET %(length)s - 1
        ) AS behind
    """


def exact_end(window: str) -> str:
    """Where too many rows share a moment: they are told apart by their keys."""
    return f"""
        SELECT CAST(date_done AS text) AS at, id FROM {TABLE} AS result
        WHERE {window} ORDER BY date_done, id LIMIT 1 OFFSET %(length)s - 1
    """


def window(*, since: bool, reached: Place | None, end: Place | None) -> str:
    """Behind one place, up to another: conditions that the index on date_done serves."""
    conditions = ["result.date_done < %(until)s"]
    if since:
        conditions.append("result.date_done >= %(since)s")
    if reached:
        conditions.append(_beside(reached, "reached", ">"))
    if end:
        conditions.append(_beside(end, "end", "<"))
    return " AND ".join(conditions)


def _beside(place: Place, name: str, side: str) -> str:
    at = stamp(f"{name}_at")
    if place[1] is None:
        return f"result.date_done {side}{'=' if side == '<' else ''} {at}"
    key = f"result.id {side}{'=' if side == '<' else ''} %({name}_id)s"
    return f"result.date_done {side}= {at} AND (result.date_done {side} {at} OR {key})"


def count(deed: Deed, window: str) -> str:
    return f"{_found(deed, window)} {_SUMS.format('found')}"


def remove_at_once(window: str) -> str:
    """On PostgreSQL, of tasks that a domain claims, at half the price: it waits for whoever holds one of the rows."""
    return f"""
        WITH due AS MATERIALIZED (
            SELECT * FROM json_to_recordset(CAST(%(due_at_once)s AS json))
                AS due(task text, status text, domain text, outcome text, until timestamptz)
        ), gone AS (
            DELETE FROM {TABLE} AS result USING due
            WHERE result.task_name = due.task AND result.status = due.status
                AND {window} AND (due.until IS NULL OR result.date_done >= due.until)
            RETURNING due.domain, due.outcome, {_books(audit.domain_in_meta("result.meta"))} AS books
        ) {_SUMS.format("gone")}
    """


def remove(deed: Deed, window: str) -> str:
    """On PostgreSQL. What somebody else holds is passed over, so that nobody waits for anybody."""
    return f"""
        {_found(deed, window, locked="FOR UPDATE OF result SKIP LOCKED")}, gone AS (
            {deed.begin} {deed.join} found WHERE result.ctid = found.place RETURNING found.domain, found.outcome, books
        ) {_SUMS.format("gone")}
    """


def found_on_sqlite(deed: Deed, window: str) -> str:
    """The transaction holds the one write lock there is, so that nobody else gets at them."""
    return f"{_found(deed, window)} SELECT id, domain, outcome, books FROM found"


def remove_on_sqlite(deed: Deed) -> str:
    return f"{deed.begin} WHERE id IN (SELECT value FROM json_each(%(ids)s))"


_SUMS = "SELECT domain, outcome, books, COUNT(*) AS count FROM {} GROUP BY domain, outcome, books"
# Materialized: else the JSON would be read anew for each row.
_TABLES_ON_POSTGRESQL = """
    WITH claimed AS MATERIALIZED (
        SELECT key AS task, value AS domain FROM json_each_text(CAST(%(claimed)s AS json))
    ), known AS MATERIALIZED (
        SELECT value AS domain FROM json_array_elements_text(CAST(%(known)s AS json))
    ), due AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(%(due)s AS json))
            AS due(key text, domain text, outcome text, until timestamptz)
    )
"""
_TABLES_ON_SQLITE = """
    WITH claimed AS MATERIALIZED (SELECT key AS task, value AS domain FROM json_each(%(claimed)s)),
    known AS MATERIALIZED (SELECT value AS domain FROM json_each(%(known)s)),
    due AS MATERIALIZED (
        SELECT value->>'key' AS key, value->>'domain' AS domain, value->>'outcome' AS outcome,
            value->>'until' AS until
        FROM json_each(%(due)s)
    )
"""


def _found(deed: Deed, window: str, *, locked: str = "") -> str:
    """By one comparison of texts for each row, so that a hash table answers it."""
    postgresql = database.on_postgresql()
    in_meta = audit.domain_in_meta("result.meta")
    # SQLite keeps to the order of a CROSS JOIN; by itself it would go through the window for each row of due.
    join = "JOIN" if postgresql else "CROSS JOIN"
    return f"""
        {_TABLES_ON_POSTGRESQL if postgresql else _TABLES_ON_SQLITE}, found AS MATERIALIZED (
            SELECT result.id, {"result.ctid AS place," if postgresql else ""} due.domain, due.outcome,
                {_books(in_meta) if postgresql else in_meta} AS books
            FROM {TABLE} AS result LEFT JOIN claimed ON claimed.task = result.task_name
            {join} due ON due.key = result.status || '/' || CASE
                WHEN claimed.domain IS NOT NULL THEN claimed.domain
                WHEN {in_meta} IN (SELECT domain FROM known) THEN {in_meta}
                ELSE '' END
            WHERE {window} AND (due.until IS NULL OR result.date_done >= due.until) {deed.which}
            {locked}
        )
    """


def _books(in_meta: str) -> str:
    # As settle writes it: a regular expression for each row would take longer than all the rest.
    first = "'{\"domain\": \"' || due.domain || '\",'"
    return f"CASE WHEN starts_with(result.meta, {first}) THEN due.domain ELSE {in_meta} END"
