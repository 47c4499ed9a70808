"""The benchmark of adversaries: all contenders do the same work, and it is counted."""

import functools

import pytest

from benchmarks import adversaries, adversaries_tinyae
from benchmarks.adversaries import CASES, AdversaryCase
from benchmarks.convolution_cases import leaves
from benchmarks.step import agree
from tinyae.layers import Dropout
from tinyae.models import AAE, GAN, VAEGAN, SemiAAE

SMALL, DENSE = dict(input_shape=(28, 28, 1)), dict(hidden=(12,), units=(8,))
CONV = SMALL | dict(network="conv", channels=(3, 4), latent_dim=5)
CRITIC = CONV | dict(loss="wasserstein", dropout=0.0, critic_steps=2)
SMALL_CASES = {
    "aae": AdversaryCase(AAE, 10, adversaries.AAE_PASSES, **SMALL, **DENSE, latent_dim=3, scale=5.0),
    "semi-aae": AdversaryCase(SemiAAE, 10, adversaries.SEMI_AAE_PASSES, **SMALL, **DENSE, latent_dim=3, labelled=10),
    "gan-dense": AdversaryCase(GAN, 10, adversaries.GAN_PASSES, **SMALL, hidden=(12, 8)),
    "gan-conv": AdversaryCase(GAN, 10, adversaries.GAN_PASSES, **CONV),
    "vae-gan": AdversaryCase(VAEGAN, 10, adversaries.VAEGAN_PASSES, **SMALL, channels=(3, 4), units=8, latent_dim=5),
    "gan-wasserstein": AdversaryCase(GAN, 10, adversaries.WASSERSTEIN_PASSES, 1e-3, **CRITIC),
}


@pytest.fixture
def torch(request):
    torch = pytest.importorskip("torch")
    request.addfinalizer(functools.partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(1)
    return torch


@pytest.mark.parametrize("channels_last", (False, True))
@pytest.mark.parametrize("name", SMALL_CASES)
def test_peers_do_the_same_work(name, channels_last, torch, monkeypatch):
    from benchmarks.adversaries_torch import Contender

    case = SMALL_CASES[name]
    monkeypatch.setitem(CASES, name, case)
    ours, peer = adversaries_tinyae.Run(case, None), Contender(channels_last).case(name)
    batches = [case.batch(i) for i in range(3)]
    found = {"tinyae": ours.check(*batches), "torch": peer.check(*batches)}
    assert len(found["tinyae"]) == (5 if name == "gan-wasserstein" else 3 * len(case.passes))
    agree(found, case.tolerance)
    assert len(ours.step(*case.batch(0))) == len(peer.step(*case.batch(0))) == len(case.passes)


def test_dropout_is_left_out_of_the_comparison_and_of_the_judged_codes_alone(torch):
    from benchmarks.adversaries_torch import RUNS

    case = AdversaryCase(AAE, 10, adversaries.AAE_PASSES, **SMALL, latent_dim=3, network="reference")
    for dropout, rates in ((True, [0.25] * 4 + [0.2] * 2), (False, [0] * 6)):
        run = RUNS[AAE](case, torch.contiguous_format, lambda function: function, dropout)
        theirs = [module.p for module in run.networks.modules() if isinstance(module, torch.nn.Dropout)]
        found = (leaf for _, net, shape in adversaries.networks(case.build(dropout)) for leaf in leaves(net, shape))
        assert theirs == [layer.rate for layer, _ in found if isinstance(layer, Dropout)] == rates
    for phase, _, _ in run.phases:
        run.freeze(phase)
        evaluated = {name for name, network in run.networks.items() if not network.training}
        assert evaluated == ({"encoder"} if phase.name == "discriminator" else set())


def test_a_phase_has_gradients_of_what_it_trains_alone(torch):
    from benchmarks.adversaries_torch import RUNS

    for case in SMALL_CASES.values():
        run = RUNS[case.kind](case, torch.contiguous_format, lambda function: function)
        for phase, _, _ in run.phases:
            run.freeze(phase)
            trained = {name for name, net in run.networks.items() if all(p.requires_grad for p in net.parameters())}
            frozen = {name for name, net in run.networks.items() if not any(p.requires_grad for p in net.parameters())}
            assert trained == set(phase.trains) and frozen == run.networks.keys() - trained


def test_flops_by_hand():
    """Forward products of an example by layer; a layer that the data enter has no gradient by them."""
    encoder, decoder, discriminator = (784 * 12, 12 * 3), (3 * 12, 12 * 784), (3 * 8, 8)
    e, d, D = map(sum, (encoder, decoder, discriminator))
    reconstruction = 3 * e - encoder[0] + 3 * d
    sides = e + 2 * (3 * D - discriminator[0])
    generator = 3 * e - encoder[0] + 2 * D
    assert SMALL_CASES["aae"].flops("step") == 10 * 2 * (reconstruction + sides + generator)

    generator = (5 * 7 * 7 * 4, 7 * 7 * 4 * 4 * 4 * 3, 14 * 14 * 3 * 4 * 4)
    critic = (14 * 14 * 4 * 4 * 3, 7 * 7 * 4 * 4 * 3 * 4, 7 * 7 * 4)
    g, c = sum(generator), sum(critic)
    sides = g + 2 * (3 * c - critic[0]) + 4 * c  # real, drawn, and between the two
    assert SMALL_CASES["gan-wasserstein"].flops("step") == 10 * 2 * (sides + (3 * g - generator[0] + 2 * c) / 2)


def test_every_phase_is_counted():
    for name, case in CASES.items():
        model = case.kind(**case.options)
        assert list(case.passes) == [phase.name for phase in model.phases], name
        for phase in model.phases:
            trained = {network for network, cost in case.passes[phase.name] if cost[0] > 2}
            assert trained == set(phase.trains), (name, phase.name)


def test_a_step_is_timed(capsys):
    result = adversaries.measure(["tinyae"], rounds=1, only=["gan-dense"])
    (case,) = result["cases"].values()
    assert case["contenders"]["tinyae"]["median"] > 0 and case["distance"] > 0
    assert case["flops"] == CASES["gan-dense"].flops("step")
    adversaries.show(result)
    assert "gan-dense step" in capsys.readouterr().out


def test_channels_last_are_for_images(monkeypatch):
    asked = []

    def measured(names, rounds, only, *more):
        asked.append((names, only))
        return {"cases": {name: {} for name in only}}

    monkeypatch.setattr("benchmarks.convolution.measure", measured)
    names = ["tinyae", "torch", "torch-channels-last"]
    assert list(adversaries.measure(names)["cases"]) == list(CASES)
    assert asked == [(names[:2], ["aae-reference", "semi-aae", "gan-dense"]), (names, ["gan-conv", *list(CASES)[4:]])]
    assert list(adversaries.measure(names, only=["vae-gan"])["cases"]) == ["vae-gan"]
