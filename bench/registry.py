"""All benchmarks, in the order in which they run and are reported."""

from bench.benchmark import Benchmark
from bench.speed.footprint import B11
from bench.speed.growth import B10
from bench.speed.keys import B4
from bench.speed.latency import B5
from bench.speed.logins import B6
from bench.speed.mutations import G12
from bench.speed.refresh import B7
from bench.speed.resource import B9
from bench.speed.tokens import B1, B2, B3, B12
from bench.speed.verifying import B8

BENCHMARKS: dict[str, Benchmark] = {each.id: each for each in (B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, G12)}
ON_DEMAND = frozenset({"B10"})
"""What takes so long that it runs only when it is named."""
