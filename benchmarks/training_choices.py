"""Would other series have chosen another network, or trained it otherwise? ``python -m benchmarks.training_choices``.

Each of the flagship's defaults that decide its network and training is changed alone, and chosen anew by the groups of
development series but one; the page says what that does to the groups that chose and to the one left out, by the
default score and by the reconstruction of the same training.

Examples
--------
A look of a minute::

    python -m benchmarks.training_choices --groups skab --first-series 2 --methods default window_size --out build/look

The whole, two cells at a time::

    python -m benchmarks.training_choices --n-jobs 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from timesad import TimesNetDiscrepancyDetector

from .contract import SEMI_SUPERVISED, Method, Record, Setup, index_methods
from .left_out import DEFAULT, ChoiceStudy, run
from .measure import WINDOWS_TO_FIT
from .methods import FLAGSHIP, FLAGSHIP_DEFAULT, FLAGSHIP_RULES
from .score_rules import REFERENCE_RULE, EveryRule
from .summary import SCORE, records_by_method

WINDOW = "window_size"
SCORES = {"Default score": FLAGSHIP_DEFAULT, "Reconstruction alone": REFERENCE_RULE}
RULES = tuple(rule for rule in FLAGSHIP_RULES if rule.name in SCORES.values())


@dataclass(frozen=True)
class Training:
    """The flagship with one parameter of its network or training changed.

    Parameters
    ----------
    parameter : str
        Of the flagship.
    setting : bool, int or float
        In the place of the default.
    """

    parameter: str
    setting: float

    @property
    def name(self) -> str:
        """Unique among all choices."""
        return f"{self.parameter}-{self.setting}"

    @property
    def number(self) -> str:
        """The parameter with its default."""
        return f"`{self.parameter}` ({TimesNetDiscrepancyDetector().get_params()[self.parameter]})"

    @property
    def value(self) -> str:
        """The setting in words."""
        return str(self.setting)


TRAININGS = tuple(
    Training(parameter, setting)
    for parameter, settings in (
        (WINDOW, (48, 144)),
        ("n_masks", (0, 2)),
        ("patch_size", (2, 4)),
        ("normalize_windows", (False,)),
        ("model_size", (8, 32)),
        ("n_layers", (1, 3)),
        ("learning_rate", (1e-3, 4e-3)),
        ("max_epochs", (10,)),
        ("top_k", (1,)),
        ("n_kernels", (6,)),
    )
    for setting in settings
)


def build(setup: Setup, *, training: Training | None) -> EveryRule:
    """Build the flagship with one parameter changed; no score here reads the discrepancy, so it is not trained."""
    parameters: dict[str, Any] = {WINDOW: setup.window}
    if training is not None:
        parameters[training.parameter] = training.setting
        # a window of another length is cut where the series is short, as the run's own is
        parameters[WINDOW] = min(parameters[WINDOW], setup.n_fit_rows // WINDOWS_TO_FIT)
    detector = TimesNetDiscrepancyDetector(**parameters, discrepancy_weight=0, random_state=setup.seed)
    return EveryRule(detector, RULES)


def method(name: str, family: str, training: Training | None) -> Method:
    """Return a row of the table."""
    return Method(name, family, partial(build, training=training), scores=tuple(rule.name for rule in RULES))


METHODS = index_methods(
    (method(DEFAULT, DEFAULT, None), *(method(one.name, one.parameter, one) for one in TRAININGS)),
)


def records_by_training(records: Sequence[Record], score: str) -> dict[str, list[Record]]:
    """Return the records of each choice by one score."""
    by_row = records_by_method(record for record in records if record[SCORE] == score)
    return {row.removesuffix(f" / {score}"): of_row for row, of_row in by_row.items()}


STUDY = ChoiceStudy(
    module="benchmarks.training_choices",
    name="training-choices",
    title="Choices of the network and its training",
    doc=__doc__,
    remark=f"`{FLAGSHIP}` as in the peers' tables, with one parameter of its network or training changed.",
    methods=METHODS,
    alternatives=TRAININGS,
    scores={title: partial(records_by_training, score=score) for title, score in SCORES.items()},
    protocols=(SEMI_SUPERVISED,),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    for path in run(STUDY, argv):
        print(path)


if __name__ == "__main__":
    main()
