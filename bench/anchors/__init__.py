"""What physics allows: the same cryptography without a service around it, on every core at once.

On every core, because that is how a busy service runs: cores that share caches, power or, as threads, a core slow each
other down, and no service can be faster than that.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Raw:
    """An operation at full speed. `rate` is operations a second on all cores; `cpu` is seconds for each."""

    rate: float
    cpu: float


def on_all_cores(operation: str, seconds: float) -> Raw:
    """Repeats an operation of `bench.anchors.raw` in a process for each core."""
    command = [sys.executable, "-m", "bench.anchors.raw", operation, str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count() or 1)]
    found = [json.loads(process.communicate()[0]) for process in running]
    return Raw(
        rate=sum(each["count"] / each["seconds"] for each in found),
        cpu=sum(each["cpu"] for each in found) / sum(each["count"] for each in found),
    )
