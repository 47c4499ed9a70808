"""The tests of the contract catch what they are there for: layers that break it, one way each."""

import numpy as np
import pytest
import test_contract as contract
from strict_cupy import HostSync

from tinyae.layers import BatchNorm, Dense, Layer, ReLU


class _OnSelf(Dense):
    def forward(self, params, x, train=False, rng=None, state=None):
        y, self.cache = super().forward(params, x)
        return y, ()

    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, self.cache, dy, grads)


class _InPlace(ReLU):
    def forward(self, params, x, train=False, rng=None, state=None):
        x *= x > 0
        return x, x


class _SpoilsItsCache(Dense):
    def backward(self, params, cache, dy, grads=None):
        dx = super().backward(params, cache, dy, grads)
        cache += 1
        return dx


class _Overwrites(Dense):
    def backward(self, params, cache, dy, grads=None):
        if grads is not None:
            grads["weight"][...] = 0
            grads["bias"][...] = 0
        return super().backward(params, cache, dy, grads)


class _FrozenBlocks(Dense):
    def backward(self, params, cache, dy, grads=None):
        return cache * 0 if grads is None else super().backward(params, cache, dy, grads)


class _Promotes(ReLU):
    def backward(self, params, cache, dy, grads=None):
        return super().backward(params, cache, dy) * np.float64(1)


class _Syncs(ReLU):
    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward(params, x * 1 if float(x.sum()) else x)


class _Mixes(ReLU):
    def forward(self, params, x, train=False, rng=None, state=None):
        return super().forward(params, x - x.mean())


class _UpdatesInForward(BatchNorm):
    def forward(self, params, x, train=False, rng=None, state=None):
        y, cache = super().forward(params, x, train, rng, state)
        self.update_state(state, cache)
        return y, cache


class _Lies(Dense):
    def output_shape(self, input_shape):
        return (self.units + 1,)


class _ViewsMemory(ReLU):
    def forward(self, params, x, train=False, rng=None, state=None):
        memory = np.lib.stride_tricks.as_strided(x, x.shape, np.empty_like(x, order="C").strides)
        return super().forward(params, memory)


def no_mixing(case):
    contract.test_examples_of_a_batch_do_not_mix_in_evaluation(case.layer, case.shape, case.device, case.dtype)


@pytest.mark.parametrize(
    "layer, check",
    [
        (_OnSelf(3), lambda case: contract.test_two_forwards_then_their_backwards(case, (0, 1))),
        (_InPlace(), contract.test_nothing_given_is_changed),
        (_SpoilsItsCache(3), contract.test_nothing_given_is_changed),
        (_Overwrites(3), contract.test_backward_adds_to_the_gradients),
        (_FrozenBlocks(3), contract.test_frozen_layer_passes_the_same_gradient),
        (_Promotes(), contract.test_dtype_is_kept),
        (_Mixes(), no_mixing),
        (_UpdatesInForward(), contract.test_nothing_given_is_changed),
        (_Lies(3), contract.test_shapes_are_as_announced),
        (_ViewsMemory(), contract.test_arrays_need_not_be_contiguous),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else "",
)
def test_planted_violation_is_caught(layer, check, numpy_device):
    sound = type(layer).__bases__[0](*([3] if isinstance(layer, Dense) else []))
    check(contract.Case(sound, (4,), numpy_device, "float32"))
    with pytest.raises((AssertionError, ValueError)):
        check(contract.Case(layer, (4,), numpy_device, "float32"))


def test_planted_host_sync_is_caught(strict_device):
    with pytest.raises(HostSync):
        contract.test_nothing_is_moved_to_the_host(strict_device, _Syncs(), (4,), "float32", True)
