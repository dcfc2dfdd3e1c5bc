"""Python loads this module at the start of each process of a fault row (PYTHONPATH)."""

from tests.faults.times import quicken_process

quicken_process()
