"""From a bare Python to a virtual environment: the script itself, as make calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from project import bootstrap

pytestmark = pytest.mark.any_database

SCRIPT = Path(bootstrap.__file__)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock that names nothing: what is in a lock is pip's concern."""
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n")
    return path


def call(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *map(str, arguments)],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_environment_is_made_once(tmp_path: Path, lock: Path) -> None:
    folder = tmp_path / "venv"

    first, second = call("venv", folder, lock), call("venv", folder, lock)

    assert first.returncode == 0, first.stderr
    assert "Making the virtual environment" in first.stdout
    assert (folder / "requirements.stamp").exists()
    assert (second.returncode, second.stdout) == (0, "")


def test_an_environment_half_made_is_made_anew(tmp_path: Path, lock: Path) -> None:
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")

    assert call("venv", folder, lock).returncode == 0
    assert (folder / "bin" / "pip").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, lock: Path) -> None:
    treasure = tmp_path / "home" / "treasure"
    treasure.parent.mkdir()
    treasure.touch()

    done = call("venv", treasure.parent, lock)

    assert done.returncode == 1
    assert "is no virtual environment; name another folder: make up VENV=/path" in done.stderr
    assert treasure.exists()


def test_what_cannot_be_installed_is_told_in_pips_words(tmp_path: Path, lock: Path) -> None:
    lock.write_text("nowhere @ file:///nowhere/at/all.whl --hash=sha256:" + "0" * 64 + "\n")

    done = call("venv", tmp_path / "venv", lock)

    assert done.returncode == 1
    assert "The dependencies could not be installed; pip said:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv" / "requirements.stamp").exists()


def test_a_missing_package_without_apt_names_the_package(tmp_path: Path) -> None:
    done = call("packages", "some-package", PATH=str(tmp_path))

    assert done.returncode == 1
    assert "some-package is missing and this system has no apt-get" in done.stderr


def test_an_optional_package_that_is_missing_is_told_and_forgiven(tmp_path: Path) -> None:
    done = call("packages", "--optional", "some-package", PATH=str(tmp_path))

    assert done.returncode == 0
    assert "some-package is missing" in done.stderr


def test_a_full_disk_is_told_with_the_cure() -> None:
    # No process may write to /proc, so the kernel calls it full.
    with pytest.raises(bootstrap.BootstrapError, match=r"Only 0 MB are free.*TASKYARD_VAR"):
        bootstrap.require_room(Path("/proc/taskyard"))


def test_a_python_that_is_too_new_is_told_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lock: Path
) -> None:
    monkeypatch.setattr(bootstrap, "NEWEST", (3, 10))

    with pytest.raises(bootstrap.BootstrapError, match=r"the project runs on .* Name one of these: make up PYTHON="):
        bootstrap.make_environment(tmp_path / "venv", lock)
