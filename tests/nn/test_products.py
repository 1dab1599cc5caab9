"""Products computed by convolution equal matrix products, in single and double precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from timesad.nn import products
from timesad.nn.products import IMAGE_ROWS, RowLinear, linear, transform

PRECISION = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.float64: {"rtol": 1e-10, "atol": 1e-10}}


@pytest.fixture(params=PRECISION, ids=str)
def dtype(request):
    return request.param


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (2, 30), (20, 7)])
@pytest.mark.parametrize("size", [8, 96])
@pytest.mark.parametrize("minimum", [0, float("inf")], ids=["by convolution", "by product"])
def test_row_linear_equals_linear(batch, time, size, dtype, minimum, monkeypatch):
    """Values and gradients of rows, weight and bias, by convolution and by product."""
    monkeypatch.setattr(products, "MIN_MULTIPLICATIONS", minimum)
    torch.manual_seed(0)
    layer, plain = RowLinear(size, 48).to(dtype), nn.Linear(size, 48).to(dtype)
    plain.load_state_dict(layer.state_dict())
    results = []
    x = torch.randn(batch, time, size, dtype=dtype)
    for each in (layer, plain):
        leaf = x.clone().requires_grad_()
        output = each(leaf)
        results.append([output, *torch.autograd.grad(output.square().mean(), [leaf, each.weight, each.bias])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, **PRECISION[dtype])


def test_non_contiguous_rows(dtype, monkeypatch):
    monkeypatch.setattr(products, "MIN_MULTIPLICATIONS", 0)
    layer = RowLinear(96, 48).to(dtype)
    x = torch.randn(7, 20, 96, dtype=dtype).transpose(0, 1)
    torch.testing.assert_close(layer(x), layer(x.contiguous()), **PRECISION[dtype])


@pytest.mark.parametrize("n_rows", [1, IMAGE_ROWS, 5 * IMAGE_ROWS + 3])
def test_any_number_of_rows(n_rows, dtype):
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*shape, dtype=dtype) for shape in [(n_rows, 30), (11, 30), (11,)])
    torch.testing.assert_close(linear(x, weight, bias), x @ weight.T + bias, **PRECISION[dtype])


@pytest.mark.parametrize("batch", [1, 20])
def test_transform_equals_the_product(batch, dtype):
    torch.manual_seed(0)
    matrix, x = torch.randn(5, 7, dtype=dtype), torch.randn(batch, 7, 3, dtype=dtype, requires_grad=True)
    weight = torch.randn(batch, 5, 3, dtype=dtype)
    torch.testing.assert_close(transform(matrix, x), matrix @ x, **PRECISION[dtype])
    (mine,) = torch.autograd.grad((transform(matrix, x) * weight).sum(), x)
    torch.testing.assert_close(mine, matrix.T @ weight, **PRECISION[dtype])
