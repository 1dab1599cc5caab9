"""Would other series have chosen other defaults? ``python -m benchmarks.score_choices``.

Each number in the flagship's default score is changed alone, and chosen anew by the groups of development series but
one; the page says what that does to the groups that chose and to the one left out. A network is trained once for each
series, seed and protocol and scored by every choice. One page, ``score-choices.md``, holds both protocols.

Examples
--------
A look of a minute::

    python -m benchmarks.score_choices --groups skab --first-series 2 --out build/look

The whole, two cells at a time::

    python -m benchmarks.score_choices --n-jobs 2
"""

from __future__ import annotations

from collections.abc import Sequence

from .choices import CHOICES, METHODS
from .contract import Record
from .left_out import DEFAULT, ChoiceStudy, run
from .methods import FLAGSHIP
from .summary import SCORE


def records_by_choice(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each choice."""
    return {choice.name: [record for record in records if record[SCORE] == choice.name] for choice in CHOICES}


STUDY = ChoiceStudy(
    module="benchmarks.score_choices",
    name="score-choices",
    title="Choices of the score",
    doc=__doc__,
    remark=f"`{FLAGSHIP}` as in the peers' tables, with one number of its score changed.",
    methods=METHODS,
    alternatives=[choice for choice in CHOICES if choice.name != DEFAULT],
    scores={"Default score": records_by_choice},
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    for path in run(STUDY, argv):
        print(path)


if __name__ == "__main__":
    main()
