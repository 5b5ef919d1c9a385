"""Drawn paths: the profit of a linear book, whole paths, and the bootstrap.

A linear book of 20 assets draws 20 normals a path; the alternative draws as many with numpy's default generator into an
array that is there already, and does nothing with them. Whole paths of 20 assets and 10 steps are held against two
kernels written by hand for numba, one with numba's own random numbers and one with numpy's generator, which correlate
with the same triangle; both are given their output, ours makes its own. The bootstrap of a book's daily profits is held
against numpy without a loop, and against arch. Each way is taken several times, turn by turn; the figure is the median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from arch.bootstrap import StationaryBootstrap
from numba import njit

from quantdesk.scenarios.paths import Bootstrap, Drawn, Moves, StudentT

ASSETS, STEPS, DAYS, BLOCK = 20, 10, 20, 8.0
BY_ARCH = 2_000
"""Paths that arch draws; its seconds are scaled."""


@njit(nogil=True, error_model="numpy")
def by_own_numbers(seed, columns, mean, out):  # type: ignore[no-untyped-def]
    """A kernel as it is written by hand: numba's numbers, and each normal moves all assets below it."""
    np.random.seed(seed)
    paths, steps, width = out.shape
    for p in range(paths):
        for s in range(steps):
            row = out[p, s]
            for j in range(width):
                row[j] = mean[j]
            for k in range(width):
                z = np.random.standard_normal()
                for j in range(k, width):
                    row[j] += columns[k, j] * z


@njit(nogil=True, error_model="numpy")
def by_numpys_numbers(random, columns, mean, out):  # type: ignore[no-untyped-def]
    """The same with a generator of numpy's."""
    paths, steps, width = out.shape
    for p in range(paths):
        for s in range(steps):
            row = out[p, s]
            for j in range(width):
                row[j] = mean[j]
            for k in range(width):
                z = random.standard_normal()
                for j in range(k, width):
                    row[j] += columns[k, j] * z


def by_plain_numpy(profits: np.ndarray, paths: int) -> np.ndarray:
    """A stationary bootstrap without a loop, some thousand paths at a time."""
    random, found = np.random.default_rng(0), np.empty(paths)
    for first in range(0, paths, 10_000):
        many = min(10_000, paths - first)
        begins = random.random((many, DAYS)) < 1 / BLOCK
        begins[:, 0] = True
        starts = random.integers(0, len(profits), (many, DAYS))
        last = np.maximum.accumulate(np.where(begins, np.arange(DAYS), 0), axis=1)
        days = (np.take_along_axis(starts, last, axis=1) + np.arange(DAYS) - last) % len(profits)
        found[first : first + many] = profits[days].sum(axis=1)
    return found


def by_arch(profits: np.ndarray) -> float:
    """The same with arch, which draws as many days as there are: each serves for as many paths as fit."""
    each = len(profits) // DAYS
    drawn = StationaryBootstrap(BLOCK, profits, seed=np.random.default_rng(0))
    return sum(data[0][0][: each * DAYS].reshape(each, DAYS).sum() for data in drawn.bootstrap(BY_ARCH // each))


def measure(times: int, paths: int) -> dict[str, float]:
    """Median seconds of each way, for so many paths."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(ASSETS, ASSETS)) / ASSETS
    symbols, mean = tuple(f"S{place}" for place in range(ASSETS)), np.full(ASSETS, 2e-4)
    covariance = 1e-4 * (mix @ mix.T + np.eye(ASSETS))
    columns = np.ascontiguousarray(np.linalg.cholesky(covariance).T)
    book = {symbol: 1000.0 * (place - 5) for place, symbol in enumerate(symbols)}
    normal, student = StudentT(symbols, mean, covariance), StudentT(symbols, mean, covariance, 5.0)
    profits = rng.standard_t(5, 2500)
    stretches = Bootstrap(Moves(("book",), profits[:, None]), BLOCK)
    few = max(paths // STEPS, 1)
    numbers, room = np.empty(paths * ASSETS), np.empty((few, STEPS, ASSETS))
    plain, other = np.random.default_rng(0), np.random.default_rng(0)

    def chunks() -> None:
        for _, moves in Drawn(normal, STEPS, few).chunks():
            del moves

    ways: dict[str, Callable[[], Any]] = {
        "book": lambda: Drawn(normal, 1, paths).pnl(book),
        "student": lambda: Drawn(student, 1, paths).pnl(book),
        "normals": lambda: plain.standard_normal(out=numbers),
        "paths": chunks,
        "own": lambda: by_own_numbers(1, columns, mean, room),
        "numpys": lambda: by_numpys_numbers(other, columns, mean, room),
        "bootstrap": lambda: Drawn(stretches, DAYS, paths).pnl({"book": 1.0}),
        "plain": lambda: by_plain_numpy(profits, paths),
        "arch": lambda: by_arch(profits),
    }
    ways["own"](), ways["numpys"]()
    variance = room.reshape(-1, ASSETS).var(axis=0)
    ours = np.concatenate([moves for _, moves in Drawn(normal, STEPS, few).chunks()]).reshape(-1, ASSETS).var(axis=0)
    if few > 1000 and not np.allclose(variance, ours, rtol=0.1):
        sys.exit("the kernels draw something else")
    if not np.isclose(by_plain_numpy(profits, paths).std(), ways["bootstrap"]().std(), rtol=0.1):
        sys.exit("the bootstraps draw something else")
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(times + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:  # the first compiles
                taken[name].append(time.perf_counter() - began)
    seconds = {name: statistics.median(each) for name, each in taken.items()}
    seconds["arch"] *= paths / (BY_ARCH // (len(profits) // DAYS) * (len(profits) // DAYS))
    return seconds


def main() -> None:
    """Print one line a row, or rows for benchmarks/run.py."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true", help="rows for benchmarks/run.py")
    options.add_argument("--times", type=int, default=7, help="how often each way is taken")
    options.add_argument("--paths", type=int, default=1_000_000, help="paths of the book and of the bootstrap")
    given = options.parse_args()
    seconds = measure(given.times, given.paths)
    many, few = f"{given.paths:,} paths", f"{given.paths // STEPS:,} paths"
    rows = [
        {"what": what, "seconds": seconds[name], "alternative": against, "alternative_seconds": seconds[other]}
        for what, name, against, other in (
            (f"Monte Carlo of a linear book, normal, {ASSETS} assets, {many}", "book", "its normals alone", "normals"),
            (
                f"Monte Carlo of a linear book, Student t, {ASSETS} assets, {many}",
                "student",
                "normals alone",
                "normals",
            ),
            (f"whole paths, {ASSETS} assets, {STEPS} steps, {few}", "paths", "numba, numpy's numbers", "numpys"),
            (f"whole paths, {ASSETS} assets, {STEPS} steps, {few}", "paths", "numba, its own numbers", "own"),
            (f"bootstrap of a book, {DAYS} days, {many}", "bootstrap", "numpy without a loop", "plain"),
            (f"bootstrap of a book, {DAYS} days, {many}", "bootstrap", "arch, scaled", "arch"),
        )
    ]
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        ratio = row["alternative_seconds"] / row["seconds"]
        print(f"{row['what']}: {row['seconds']:.3f} s; {row['alternative']} takes {ratio:.2f} times as long")
    print(f"bootstrap: {given.paths / seconds['bootstrap'] / 1e6:.1f} million paths/s")


if __name__ == "__main__":
    main()
