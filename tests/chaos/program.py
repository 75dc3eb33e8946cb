"""``python -m tests.chaos.program NAME ARGUMENTS``: a module of this package as a program, once Django is set up."""

import importlib
import sys

import django

if __name__ == "__main__":
    django.setup()
    importlib.import_module(f"tests.chaos.{sys.argv[1]}").main(sys.argv[2:])
