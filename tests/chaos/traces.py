"""What bodies leave behind: a line in a file for each start, and a row in a table for each effect of an atomic task.

The file survives every process, and shows runs whose transaction was rolled back; the rows are part of it.
"""

import os
import time
from collections import Counter
from pathlib import Path

from django.db import connection

TABLE = "chaos_effect"


def note_start(task_id: str, task: str, retries: int) -> None:
    """One write to the end of the file, so that lines of several processes do not mix."""
    line = f"{time.time():.3f} {task_id} {task} pid={os.getpid()} retries={retries}\n"
    file = os.open(_starts_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def starts(folder: Path) -> Counter[str]:
    """How often the body of each task started."""
    path = folder / "starts.log"
    return Counter(line.split()[1] for line in path.read_text().splitlines()) if path.exists() else Counter()


def attempts(folder: Path) -> Counter[tuple[str, str]]:
    """How often the body of each task started for each of its attempts."""
    path = folder / "starts.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter((words[1], words[-1]) for words in map(str.split, lines))


def create_table() -> None:
    key = "bigserial PRIMARY KEY" if connection.vendor == "postgresql" else "integer PRIMARY KEY"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE} (id {key}, task_id varchar(255) NOT NULL, pid integer NOT NULL)")


def take_effect(task_id: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} (task_id, pid) VALUES (%s, %s)", [task_id, os.getpid()])  # noqa: S608


def effects() -> Counter[str]:
    """How many rows each task has."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT task_id, COUNT(*) FROM {TABLE} GROUP BY task_id")  # noqa: S608
        return Counter(dict(cursor.fetchall()))


def _starts_file() -> Path:
    return Path(os.environ["TASKYARD_CHAOS_FOLDER"]) / "starts.log"
