"""A journal keeps what was promised, whenever its writer is killed."""

from pathlib import Path

from tests.chaos.journal import Journal, Sent, Verdict, read

SENT = Sent(kind="plain", tasks=["a"], first=["a"], final="a", value="done")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "caller-1")
    journal.conclude(journal.intend([SENT]), Verdict.COMMITTED)
    journal.conclude(journal.intend([SENT, SENT]), Verdict.ROLLED_BACK)

    entries = read(tmp_path)
    assert [entry.verdict for entry in entries] == [Verdict.COMMITTED, Verdict.ROLLED_BACK]
    assert [len(entry.sent) for entry in entries] == [1, 2]
    assert entries[0].sent[0] == SENT


def test_a_caller_killed_before_its_verdict_leaves_it_unknown(tmp_path: Path) -> None:
    Journal(tmp_path, "caller-1").intend([SENT])
    assert [entry.verdict for entry in read(tmp_path)] == [Verdict.UNKNOWN]


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    first = Journal(tmp_path, "caller-1")
    first.conclude(first.intend([SENT]), Verdict.COMMITTED)
    with (tmp_path / "caller-1.jsonl").open("a") as file:
        file.write('{"transaction": "caller-1.0.2", "se')

    second = Journal(tmp_path, "caller-1")
    second.conclude(second.intend([SENT]), Verdict.COMMITTED)

    assert second.life == 1
    assert [entry.transaction for entry in read(tmp_path)] == ["caller-1.0.1", "caller-1.1.1"]
