"""Products by way of a convolution are the products."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from timesad.nn.products import WORTH_IT, RowLinear, transform


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (2, 30), (20, 7)])
@pytest.mark.parametrize("size", [8, 96])
def test_a_row_linear_layer_is_a_linear_layer(batch, time, size, float64):
    """Values, and gradients by rows, weight and bias, where a convolution stands in for the product and where not."""
    torch.manual_seed(0)
    layer, plain = RowLinear(size, 48), nn.Linear(size, 48)
    plain.load_state_dict(layer.state_dict())
    assert (layer.weight.numel() > WORTH_IT) == (size == 96)
    results = []
    x = torch.randn(batch, time, size)
    for each in (layer, plain):
        leaf = x.clone().requires_grad_()
        output = each(leaf)
        results.append([output, *torch.autograd.grad(output.square().sum(), [leaf, each.weight, each.bias])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 20])
def test_a_transform_is_the_product_with_every_matrix(batch, float64):
    torch.manual_seed(0)
    matrix, x = torch.randn(5, 7), torch.randn(batch, 7, 3, requires_grad=True)
    weight = torch.randn(batch, 5, 3)
    torch.testing.assert_close(transform(matrix, x), matrix @ x, rtol=1e-12, atol=1e-12)
    (mine,) = torch.autograd.grad((transform(matrix, x) * weight).sum(), x)
    torch.testing.assert_close(mine, matrix.T @ weight, rtol=1e-12, atol=1e-12)
