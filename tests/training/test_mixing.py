"""Mixing against a dense matrix M, worked by hand, and at every place a network has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from training.losses.proxy import ProxyNca
from training.mixing import (
    Mix,
    draw_mix,
    mix_rows,
    mixed_at,
    mixed_embeddings,
    mixed_features,
    mixed_images,
    mixed_pairs,
    pairs_of_mixed_anchors,
)
from training.mixing_spec import MixSpec
from training.pairs import Identity, Pairs, pair_up

LABELS = torch.tensor([0, 0, 1, 1, 1, 2])


def _spec(**changes: object) -> MixSpec:
    fields: dict[str, object] = {
        "where": "embedding",
        "layer": None,
        "pairs": "positive-negative",
        "alpha": 2.0,
        "draw": "pair",
        "per_anchor": 3,
        "weight": 0.4,
    }
    return MixSpec.model_validate(fields | changes)


def _pairs() -> Pairs:
    who = Identity(ids=torch.arange(6), labels=LABELS)
    return pair_up(who, who, self_pair="ignore")


def _draw(spec: MixSpec, *, pairs: Pairs | None = None, seed: int = 0) -> Mix:
    own = torch.eye(6, dtype=torch.bool)
    return draw_mix(pairs or _pairs(), spec, own=own, generator=np.random.default_rng(seed))


def _dense(mix: Mix, columns: int) -> Tensor:
    m = torch.zeros(len(mix.first), columns, dtype=torch.float64)
    for v in range(len(mix.first)):
        m[v, mix.first[v]] += mix.share[v].double()
        m[v, mix.second[v]] += 1 - mix.share[v].double()
    return m


def _rows(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("pairs", ["positive-negative", "anchor-negative", "either"])
@pytest.mark.parametrize("draw", ["batch", "pair"])
@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 4)])
def test_mixing_is_the_matrix_product(pairs: str, draw: str, shape: tuple[int, ...]) -> None:
    mix, x = _draw(_spec(pairs=pairs, draw=draw)), _rows(*shape)
    m = _dense(mix, 6)
    torch.testing.assert_close(m.sum(dim=1), torch.ones(len(m), dtype=torch.float64))
    expected = (m @ x.reshape(6, -1)).reshape(-1, *shape[1:])
    torch.testing.assert_close(mix_rows(x, mix), expected, rtol=1e-12, atol=1e-12)
    y = _pairs().y.double()
    mixed = mixed_pairs(Pairs(y=y, mask=_pairs().mask), mix)
    torch.testing.assert_close(mixed.y, y @ m.T, rtol=1e-12, atol=1e-12)
    assert 0 <= mixed.y.min() <= mixed.y.max() <= 1
    assert mixed.mask is mix.used


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_mixing_that_selects_is_indexing_exactly(share: float) -> None:
    mix = _draw(_spec())
    mix = Mix(mix.first, mix.second, torch.full_like(mix.share, share), mix.used)
    chosen = mix.first if share else mix.second
    x = nn.functional.normalize(_rows(6, 8).float())
    assert torch.equal(mix_rows(x, mix), x[chosen])
    assert torch.equal(mixed_pairs(_pairs(), mix).y, _pairs().y[:, chosen])
    torch.testing.assert_close(mixed_embeddings(x, mix), x[chosen], rtol=1e-7, atol=1e-7)


def test_a_positive_is_mixed_with_a_negative_and_its_anchors_use_it() -> None:
    mix = _draw(_spec(per_anchor=4))
    # Class 2 has one view: no positive, so five of the six anchors have mixed columns.
    assert len(mix.first) == 20
    for v, (first, second) in enumerate(zip(mix.first.tolist(), mix.second.tolist(), strict=True)):
        assert LABELS[first] != LABELS[second]
        users = {a for a in range(6) if a != first and LABELS[a] == LABELS[first]}
        assert set(mix.used[:, v].nonzero().flatten().tolist()) == users
        assert v // 4 in users
    y = mixed_pairs(_pairs(), mix).y
    torch.testing.assert_close(y[mix.used], mix.share.expand(6, -1)[mix.used])


def test_an_anchor_is_mixed_with_its_negative_for_itself_alone() -> None:
    mix = _draw(_spec(pairs="anchor-negative", per_anchor=2))
    anchors = torch.arange(6).repeat_interleave(2)
    assert torch.equal(mix.first, anchors)
    assert torch.equal(mix.used, torch.arange(6)[:, None] == anchors)
    assert torch.all(LABELS[mix.first] != LABELS[mix.second])
    y = mixed_pairs(_pairs(), mix).y
    torch.testing.assert_close(y[anchors, torch.arange(12)], mix.share)


def test_mined_pairs_mix_only_what_mining_left() -> None:
    pairs = _pairs()
    mask = torch.zeros_like(pairs.mask)
    mask[0, [1, 4]] = mask[2, [3]] = True
    mix = _draw(_spec(), pairs=Pairs(y=pairs.y, mask=mask))
    assert (mix.first.tolist(), mix.second.tolist()) == ([1] * 3, [4] * 3)
    assert mix.used.tolist() == [[True] * 3, *[[False] * 3] * 5]


def test_an_anchor_uses_no_column_mixed_with_a_negative_it_does_not_use() -> None:
    """Anchors 0 and 2 share the positive 1; only 0 has the negative 4, only 2 has 5."""
    y, mask = torch.zeros(6, 6), torch.zeros(6, 6, dtype=torch.bool)
    y[[0, 2], 1] = 1
    mask[0, [1, 4]] = mask[2, [1, 5]] = True
    mix = _draw(_spec(per_anchor=1), pairs=Pairs(y=y, mask=mask))
    assert (mix.first.tolist(), mix.second.tolist()) == ([1, 1], [4, 5])
    assert mix.used.nonzero().tolist() == [[0, 0], [2, 1]]


@pytest.mark.parametrize("missing", ["positive", "negative"])
def test_a_batch_with_nothing_to_mix_has_no_mixed_columns(missing: str) -> None:
    labels = torch.arange(6) if missing == "positive" else torch.zeros(6, dtype=torch.int64)
    who = Identity(ids=torch.arange(6), labels=labels)
    mix = _draw(_spec(), pairs=pair_up(who, who, self_pair="ignore"))
    assert mix.used.shape == (6, 0)
    assert mixed_embeddings(_rows(6, 4), mix).shape == (0, 4)
    assert mixed_pairs(_pairs(), mix).y.shape == (6, 0)


def test_equal_generators_draw_equal_mixes_and_others_do_not() -> None:
    spec = _spec(pairs="either")
    one, same, other = (_draw(spec, seed=seed) for seed in (0, 0, 5))
    for name in ("first", "second", "share", "used"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.share, other.share)


def test_a_fair_coin_chooses_between_the_two_kinds() -> None:
    drawn = [_draw(_spec(pairs="either", per_anchor=1), seed=seed) for seed in range(200)]
    anchors = sum(len(mix.first) == 6 for mix in drawn)
    assert 70 < anchors < 130


def test_shares_follow_the_beta_distribution() -> None:
    shares = _draw(_spec(alpha=2.0, per_anchor=4000)).share.double()
    # Beta(2, 2): mean 1/2, variance 1 / (4 (2 · 2 + 1)) = 1/20; 20,000 draws.
    assert shares.mean().item() == pytest.approx(0.5, abs=0.006)
    assert shares.var().item() == pytest.approx(0.05, abs=0.002)
    assert len(_draw(_spec(draw="batch")).share.unique()) == 1


def test_every_positive_and_negative_is_drawn_equally_often() -> None:
    mix = _draw(_spec(per_anchor=6000))
    second = mix.second.reshape(5, 6000)[0]
    assert second.bincount(minlength=6)[2:].tolist() == pytest.approx([1500] * 4, abs=150)
    first = mix.first.reshape(5, 6000)[2]
    assert first.bincount(minlength=6)[3:5].tolist() == pytest.approx([3000] * 2, abs=250)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lower = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.upper = nn.Linear(4, 5)
        self.idle = nn.Identity()
        self.twice = nn.ReLU()
        self.pair = _Pair()

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.twice(self.twice(self.lower(images.float()))).mean(dim=(2, 3))
        return nn.functional.normalize(self.upper(self.pair(pooled)[0]))


class _Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_feature_mixing_by_a_hook_is_mixing_by_hand() -> None:
    net, images = _Net(), _rows(6, 3, 8, 8).float()
    mix = _draw(_spec())
    by_hand = nn.functional.normalize(
        net.upper(mix_rows(torch.relu(net.lower(images)), mix).mean(dim=(2, 3)))
    )
    assert torch.equal(mixed_features(net, images, mix, layer="lower.1"), by_hand)
    assert torch.equal(mixed_features(nn.Sequential(net), images, mix, layer="lower.1"), by_hand)
    assert net(images).shape == (6, 5)


def test_a_gradient_reaches_the_layers_below_the_mixed_one() -> None:
    net, mix = _Net(), _draw(_spec())
    torch.autograd.backward(
        mixed_features(net, _rows(6, 3, 8, 8).float(), mix, layer="lower").sum()
    )
    convolution = net.lower[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0


def test_input_mixing_of_stored_images_is_that_of_the_scaled_ones() -> None:
    net, mix = _Net(), _draw(_spec())
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 8, 8), generator=random, dtype=torch.uint8)
    expected = net(mix_rows(images.double(), mix).float())
    torch.testing.assert_close(mixed_images(net, images, mix), expected)


def test_mixed_embeddings_are_unit_rows_with_a_gradient() -> None:
    x = _rows(6, 7).requires_grad_()
    mix = _draw(_spec())
    assert torch.autograd.gradcheck(lambda rows: mixed_embeddings(rows, mix), (x,))
    lengths = mixed_embeddings(x, mix).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("lower.7", "has no layer 'lower.7', but lower"),
        ("idle", "does not run"),
        ("twice", "more than once"),
        ("pair", "puts out a tuple"),
        ("", "has no layer"),
    ],
)
def test_a_layer_that_cannot_be_mixed_is_named_and_no_hook_stays(layer: str, said: str) -> None:
    net, mix, images = _Net(), _draw(_spec()), _rows(6, 3, 8, 8).float()
    with pytest.raises(InvalidConfiguration, match=said), mixed_at(net, layer, mix):
        net(images)
    assert net(images).shape == (6, 5)


def test_an_ambiguous_layer_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match=r"one of \['0.upper', '1.upper'\]"):
        mixed_features(
            nn.Sequential(_Net(), _Net()), _rows(6, 3, 8, 8), _draw(_spec()), layer="upper"
        )


@pytest.mark.parametrize(("where", "layer"), [("feature", None), ("input", "layer4")])
def test_a_layer_is_named_for_feature_mixing_and_only_then(where: str, layer: str | None) -> None:
    with pytest.raises(ValidationError, match="name a layer for 'feature'"):
        _spec(where=where, layer=layer)


def test_mixed_anchors_are_paired_with_all_others_that_both_halves_use() -> None:
    mix = _draw(_spec())
    pairs = Pairs(y=_pairs().y.double(), mask=_pairs().mask)
    mixed = pairs_of_mixed_anchors(pairs, mix)
    torch.testing.assert_close(mixed.y, _dense(mix, 6) @ pairs.y, rtol=1e-12, atol=1e-12)
    for v, halves in enumerate(zip(mix.first.tolist(), mix.second.tolist(), strict=True)):
        assert mixed.mask[v].nonzero().flatten().tolist() == [
            x for x in range(6) if x not in halves
        ]


def test_the_softmax_over_proxies_learns_from_mixed_anchors() -> None:
    """With the one used proxy a row it would be constant: a Metrix that does nothing."""
    examples = Identity(ids=torch.arange(6), labels=LABELS)
    proxies = Identity(ids=-1 - torch.arange(3), labels=torch.arange(3))
    pairs = pair_up(examples, proxies, self_pair="ignore")
    nobody = torch.zeros(3, 6, dtype=torch.bool)
    mix = draw_mix(pairs.T, _spec(), own=nobody, generator=np.random.default_rng(0))
    s = _rows(len(mix.first), 3).clamp(-1, 1).requires_grad_()
    torch.autograd.backward(ProxyNca(temperature=0.5)(s, pairs_of_mixed_anchors(pairs, mix)))
    assert s.grad is not None
    assert torch.all(s.grad.abs().sum(dim=1) > 1e-6)
