"""Series association, priors and divergence equal the official ones, and are bounded where those are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.grid_prior import GridPrior, jensen_shannon
from timesad.nn import AnomalyAttention, LocalPrior, symmetric_kl
from timesad.nn.association import official_sigma, series_association


@pytest.fixture
def official(golden_folder):
    with np.load(golden_folder / "anomaly_attention_official.npz") as arrays:
        return {name: torch.from_numpy(np.atleast_1d(arrays[name])) for name in arrays.files}


def heads_first(tensor):
    return tensor.transpose(1, 2)


@pytest.mark.usefixtures("float64")
class TestParity:
    """Values to 1e-10 and gradients to 1e-8 of the official Anomaly Transformer, in float64."""

    def test_series_and_output(self, official):
        series = series_association(heads_first(official["q"]), heads_first(official["k"]))
        torch.testing.assert_close(series, official["series"], rtol=0, atol=1e-10)
        output = (series @ heads_first(official["v"])).transpose(1, 2)
        torch.testing.assert_close(output, official["output"], rtol=0, atol=1e-10)

    def test_sigma_and_prior(self, official):
        sigma = official_sigma(official["sigma_raw"]).transpose(1, 2)
        torch.testing.assert_close(sigma, official["sigma"], rtol=0, atol=1e-10)
        prior = LocalPrior(window_size=24)(official["sigma_raw"])
        torch.testing.assert_close(prior, official["prior"], rtol=0, atol=1e-10)

    def test_discrepancy(self, official):
        discrepancy = symmetric_kl(official["series"], official["prior"])
        torch.testing.assert_close(discrepancy, official["discrepancy"], rtol=0, atol=1e-10)

    @pytest.mark.parametrize("term", ["series", "prior"])
    def test_losses_and_their_gradients(self, official, term):
        leaves = {name: official[name].clone().requires_grad_() for name in ("q", "k", "sigma_raw")}
        series = series_association(heads_first(leaves["q"]), heads_first(leaves["k"]))
        prior = LocalPrior(window_size=24)(leaves["sigma_raw"])
        pair = (series, prior.detach()) if term == "series" else (series.detach(), prior)
        loss = symmetric_kl(*pair).mean()
        assert loss.item() == pytest.approx(official[f"{term}_loss"].item(), abs=1e-10)
        loss.backward()
        for name, leaf in leaves.items():
            expected = official[f"{term}_grad_{name.removesuffix('_raw')}"]
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-8)


class TestPriors:
    @pytest.fixture(params=["local", "grid"])
    def prior(self, request):
        if request.param == "local":
            return LocalPrior(window_size=50)
        return GridPrior(window_size=50, periods=[20, 7], weights=[0.7, 0.3])

    def raw(self, prior, batch=2, heads=3):
        generator = torch.Generator().manual_seed(0)
        return 0.2 * torch.randn(batch, 50, heads * prior.widths_per_head, generator=generator)  # widths within range

    def test_rows_sum_to_one(self, prior):
        association = prior(self.raw(prior))
        assert association.shape == (2, 3, 50, 50)
        torch.testing.assert_close(association.sum(dim=-1), torch.ones(2, 3, 50))
        assert (association >= 0).all()

    def test_a_width_changes_its_own_row_only(self, prior):
        raw = self.raw(prior)
        changed_raw = raw.clone()
        changed_raw[:, 17] += 0.3
        changed = (prior(raw) != prior(changed_raw)).any(dim=-1)  # (batch, head, time)
        assert changed[:, :, 17].all()
        changed[:, :, 17] = False
        assert not changed.any()

    def test_extreme_widths_stay_finite(self, prior):
        for extreme in (-100.0, 100.0):
            assert prior(torch.full_like(self.raw(prior), extreme)).isfinite().all()

    def test_grid_weighs_a_whole_period_above_half_of_one(self):
        prior = GridPrior(window_size=100, periods=[20], weights=[1.0])
        row = prior(torch.zeros(1, 100, 2))[0, 0, 50]
        assert row[70] > 10 * row[60]
        assert row[30] > 10 * row[40]

    def test_grid_gives_no_weight_to_padding(self):
        """Cycles of 20 in a window of 50: half of the last cycle is padding, and every row still sums to one."""
        prior = GridPrior(window_size=50, periods=[20], weights=[1.0])
        torch.testing.assert_close(prior(torch.zeros(1, 50, 2)).sum(dim=-1), torch.ones(1, 1, 50))

    def test_grid_fits_a_periodic_association_and_no_local_width_does(self):
        """The reason for the grid prior: at period 20, its smallest D over all widths is ten times smaller."""
        position = torch.arange(100)
        lag = (position[:, None] - position).abs() % 20
        circular = torch.minimum(lag, 20 - lag)
        series = torch.softmax(-(circular.float() ** 2) / (2 * 1.5**2), dim=-1)[None, None]
        grid, local = GridPrior(100, [20], [1.0]), LocalPrior(100)
        raw_widths = torch.logit(torch.linspace(0.02, 0.98, 40)) / 5
        best_local = min(symmetric_kl(series, local(torch.full((1, 100, 1), o))).mean().item() for o in raw_widths)
        best_grid = min(
            symmetric_kl(series, grid(torch.tensor([phase, cycle]).expand(1, 100, 2))).mean().item()
            for phase in raw_widths.tolist()
            for cycle in (1.0,)
        )
        assert best_grid < best_local / 10


class TestDivergence:
    @pytest.fixture(params=[symmetric_kl, jensen_shannon])
    def divergence(self, request):
        return request.param

    def pair(self):
        generator = torch.Generator().manual_seed(0)
        series, prior = torch.rand(2, 4, 3, 12, 12, generator=generator).pow(6)
        return series / series.sum(-1, keepdim=True), prior / prior.sum(-1, keepdim=True)

    def test_is_one_number_per_row(self, divergence):
        discrepancy = divergence(*self.pair())
        assert discrepancy.shape == (4, 12)
        assert discrepancy.std(dim=1).min() > 0.01, "constant over time: reduced over the wrong axis"

    def test_is_zero_for_equal_associations_and_positive_otherwise(self, divergence):
        series, prior = self.pair()
        torch.testing.assert_close(divergence(series, series), torch.zeros(4, 12))
        assert (divergence(series, prior) > 0).all()

    def test_stays_bounded_where_a_gaussian_tail_underflows(self, divergence):
        narrow = torch.eye(12).expand(1, 1, 12, 12)
        far = torch.eye(12).roll(6, dims=0).expand(1, 1, 12, 12)
        assert divergence(narrow, far).max() < 2 * math.log(1e4) + 1e-3

    def test_jensen_shannon_never_exceeds_log_two(self):
        narrow, far = torch.eye(12).expand(1, 1, 12, 12), torch.eye(12).roll(6, dims=0).expand(1, 1, 12, 12)
        torch.testing.assert_close(jensen_shannon(narrow, far), torch.full((1, 12), math.log(2)))

    def test_gradient_is_finite_where_associations_vanish(self, divergence):
        narrow = torch.eye(12).expand(1, 1, 12, 12).clone().requires_grad_()
        divergence(narrow, narrow.detach().roll(6, dims=2)).sum().backward()
        assert narrow.grad.isfinite().all()


class TestAttention:
    def test_output_does_not_depend_on_sigma(self):
        """With (P + S) / 2, a change of sigma changes the output."""
        torch.manual_seed(0)
        attention = AnomalyAttention(8, 2, [LocalPrior(16)])
        x = torch.randn(3, 16, 8)
        before, _ = attention(x)
        with torch.no_grad():
            attention.widths[0].bias += 1.0
        after, _ = attention(x)
        assert torch.equal(before, after)

    def test_prior_term_has_no_gradient_on_the_input_of_sigma(self):
        torch.manual_seed(0)
        attention = AnomalyAttention(8, 2, [LocalPrior(16)])
        x = torch.randn(3, 16, 8, requires_grad=True)
        _, associations = attention(x)
        symmetric_kl(associations.series.detach(), associations.priors[0]).mean().backward()
        assert x.grad is None or not x.grad.any()
        assert attention.widths[0].weight.grad.abs().max() > 0


def test_written_gradient_equals_the_numerical_one():
    """For both arguments of the divergence together, and for each alone."""
    generator = torch.Generator().manual_seed(0)
    series, prior = torch.rand(2, 1, 2, 4, 5, generator=generator, dtype=torch.float64)
    for needs in ((True, True), (True, False), (False, True)):
        pair = [x.clone().requires_grad_(need) for x, need in zip((series, prior), needs, strict=True)]
        assert torch.autograd.gradcheck(symmetric_kl, pair)
