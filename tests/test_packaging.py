"""setup.cfg alone makes an installable package."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("project", "routing", "notifications", "reporting")


@pytest.fixture
def wheel(tmp_path: Path) -> zipfile.ZipFile:
    source = tmp_path / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(tmp_path), str(source)], check=True, timeout=120)
    return zipfile.ZipFile(next(tmp_path.glob("taskyard-*.whl")))


def test_the_wheel_holds_every_package_with_its_templates_and_translations(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())

    templates = {
        str(path.relative_to(ROOT)) for package in PACKAGES for path in ROOT.glob(f"{package}/**/templates/**/*.*")
    }
    assert {f"{package}/__init__.py" for package in PACKAGES} <= packed
    translations = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/locale/*/LC_MESSAGES/django.mo")}
    assert templates
    assert len(translations) == len(PACKAGES)
    assert templates | translations <= packed
    assert not [name for name in packed if name.startswith("tests/")]


def test_the_wheel_names_its_dependencies_directly(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()

    required = {line.split()[1].split(";")[0] for line in metadata.splitlines() if line.startswith("Requires-Dist:")}
    for package in ("django", "celery", "kombu", "amqp", "django-celery-results"):
        assert any(requirement.startswith(f"{package}<") for requirement in required), package
    assert 'pytest>=8; extra == "test"' in metadata
