"""Programs that stand for ``python``, and what is waited for."""

import subprocess
import time


def lines(program, *words, **options):
    pipe = subprocess.PIPE
    return subprocess.run([program, *words], stdout=pipe, text=True, check=True, **{"stderr": pipe} | options).stdout


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
