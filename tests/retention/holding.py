"""What ``TASKYARD_FAULT_CALL`` may call in a clean-up: it stands still in its transaction until a file says go on."""

import os
import time
from pathlib import Path


def hold() -> None:
    folder = Path(os.environ["HOLDING_FOLDER"])
    (folder / "held").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
