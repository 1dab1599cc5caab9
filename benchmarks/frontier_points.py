"""Points of quality and seconds, and those that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .report import number

SHORTEST = 0.001  # seconds, that the page shows


def name_text(label: str, ours: bool) -> str:
    """Return the name as code, ours bold."""
    return f"**`{label}`**" if ours else f"`{label}`"


def quality_text(mean: float, complete: bool) -> str:
    """Return the mean, with a star if series are missing."""
    return number(mean) + ("" if complete else " *")


def size_text(size: tuple[int, int]) -> str:
    """Return rows and channels in words."""
    return f"{size[0]:,} rows × {size[1]} channel{'' if size[1] == 1 else 's'}"


@dataclass(frozen=True)
class Point:
    """A method with seconds and quality."""

    label: str
    seconds: float
    quality: float
    ours: bool = False
    complete: bool = True

    @property
    def text(self) -> str:
        """Name, VUS-PR and seconds."""
        seconds = f"< {SHORTEST:g}" if self.seconds < SHORTEST else f"{self.seconds:.2g}"
        return f"{name_text(self.label, self.ours)} ({quality_text(self.quality, self.complete)}, {seconds} s)"


def is_beaten(point: Point, other: Point) -> bool:
    """Whether the other is as fast and as good, and faster or better."""
    not_worse = other.seconds <= point.seconds and other.quality >= point.quality
    return not_worse and (other.seconds < point.seconds or other.quality > point.quality)


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats, fastest first; equal points are all kept."""
    kept = [point for point in points if not any(is_beaten(point, other) for other in points)]
    return sorted(kept, key=lambda point: (point.seconds, point.label))


def best_within(points: Sequence[Point], budget: float) -> Point | None:
    """Return the best point of at most so many seconds, the fastest of equally good ones; None if there is none."""
    affordable = [point for point in points if point.seconds <= budget]
    return min(affordable, key=lambda point: (-point.quality, point.seconds, point.label), default=None)
