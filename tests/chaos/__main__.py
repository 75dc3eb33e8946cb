"""``python -m tests.chaos``: what ``make chaos`` and ``make chaos-selftest`` run."""

import os
import signal
import sys
from types import FrameType

from tests.chaos.ground import Ground
from tests.chaos.options import Options, read

SABOTAGE = "forget keep twice unatomic restart phantom"
INTERRUPTED = 130


def main() -> int:
    options = read()
    signal.signal(signal.SIGTERM, _interrupt)
    ground = Ground(options, sabotage=SABOTAGE if options.selftest else "")
    try:
        return _run(ground, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        ground.stop()


def _run(ground: Ground, options: Options) -> int:
    # Django and the project's settings read the environment when they are loaded.
    os.environ.clear()
    os.environ.update(ground.environment)
    import django

    django.setup()
    from tests.chaos import rollout, run

    kind = rollout.Rollout if options.deploy_every else run.Run
    return run.main(kind(ground, options), options)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
