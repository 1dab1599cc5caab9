"""What every function of the C code refuses."""

from __future__ import annotations

import pytest

from timesad import c_code


class RefusesLanesAndThreads:
    """Tests for a class with a fixture `call`: the function with right arguments, but for those given by name."""

    @pytest.mark.parametrize("lanes", [0, -1, 1, 4, 7, 17, 32, 2**31 - 1])
    def test_lanes(self, call, lanes):
        with pytest.raises(ValueError, match=f"lanes is {lanes}"):
            call(lanes=lanes)

    def test_lanes_that_the_processor_has_not(self, call):
        for lanes in {8, 16} - set(c_code.LANES):
            with pytest.raises(ValueError, match=f"lanes is {lanes}"):
                call(lanes=lanes)

    @pytest.mark.parametrize("n_threads", [0, -1, -(2**31)])
    def test_threads(self, call, n_threads):
        with pytest.raises(ValueError, match=f"n_threads is {n_threads}"):
            call(n_threads=n_threads)
