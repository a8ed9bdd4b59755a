"""What is counted together is what would be counted one by one."""

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from idp.metrics import Durations


@pytest.mark.parametrize("seconds", [[], [0.001], [0.0, 0.001, 0.0011, 0.25, 2.5, 2.6, 100.0], [0.01] * 1000])
def test_durations(seconds: list[float]) -> None:
    def exposition(kind: type[Histogram]) -> bytes:
        registry = CollectorRegistry()
        histogram = kind("seconds", "Seconds.", ["route"], buckets=(0.001, 0.25, 2.5), registry=registry)
        child = histogram.labels("/token")
        if isinstance(child, Durations):
            child.observe_all(seconds)
        else:
            for each in seconds:
                child.observe(each)
        return b"".join(line for line in generate_latest(registry).splitlines(keepends=True) if b"_created" not in line)

    assert exposition(Durations) == exposition(Histogram)
