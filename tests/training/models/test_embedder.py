"""The embedder: what each part of its description does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from lorgnette.errors import InvalidConfiguration
from lorgnette.manifest import Provenance, Space
from tests.training.networks import GLAM, GLAM_HEAD, network
from training.models.embedder import Embedder
from training.models.specs import Network
from training.space import embedder_sha256
from training.trained_model import ModelSpec, load_model, save_model

CHANNELS = 256  # of test_efficientnet


def _images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 40, 40, generator=torch.Generator().manual_seed(0))


def _everything() -> Network:
    return network(adapt_dim=24, attention=GLAM, head=GLAM_HEAD)


def test_the_embedder_gives_unit_rows_and_is_always_the_same_at_random() -> None:
    first, second = (Embedder(network(dim=7)).eval() for _ in range(2))
    rows = first(_images())
    assert rows.shape == (3, first.dim) == (3, 7)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows, second(_images()), rtol=0, atol=0)


def test_the_plain_network_is_gem_unit_linear_unit() -> None:
    embedder = Embedder(network()).eval()
    with torch.no_grad():
        pooled = F.normalize(embedder.pool(embedder.backbone(_images())), dim=-1)
        wanted = F.normalize(pooled @ embedder.linear.weight.T + embedder.linear.bias, dim=-1)
        torch.testing.assert_close(embedder(_images()), wanted)
        torch.testing.assert_close(embedder.pooled(_images()), pooled)


def test_the_plain_networks_weights_and_digest_are_what_they_always_were() -> None:
    embedder, spec = Embedder(network()), network().input
    state = embedder.state_dict()
    others = {name for name in state if not name.startswith("backbone.")}
    assert others == {"pool.p", "head.weight", "head.bias"}
    digest = hashlib.sha256()
    for name in sorted(state):
        if state[name].is_floating_point():
            digest.update(json.dumps([name, list(state[name].shape)]).encode())
            digest.update(state[name].numpy().astype("<f4").tobytes())
    digest.update(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode())
    assert embedder_sha256(embedder, spec) == digest.hexdigest()


def test_what_the_weights_do_not_show_is_in_the_digest_too() -> None:
    head, glam = GLAM_HEAD, GLAM
    variants = [
        network(head=head | {"unit_input": False}),
        network(head=head | {"unit_input": True}),
        network(head=head, attention=glam),
        network(head=head, attention=glam | {"dilations": [1, 3, 5]}),
        network(head=None, adapt_dim=8),
    ]
    digests = {embedder_sha256(Embedder(v), v.input) for v in variants}
    assert len(digests) == len(variants)
    dropped = network(head=head | {"dropout": 0.9})  # no part of the function
    assert embedder_sha256(Embedder(dropped), dropped.input) in digests


def test_adaptation_is_a_convolution_without_bias_and_relu_before_pooling() -> None:
    embedder = Embedder(network(adapt_dim=16, head=None, dim=16)).eval()
    names = {name for name, _ in embedder.named_parameters() if not name.startswith("backbone.")}
    assert names == {"adapt.0.weight", "pool.p"}
    (weight,) = (p for name, p in embedder.named_parameters() if name == "adapt.0.weight")
    with torch.no_grad():
        features = embedder.backbone(_images())
        adapted = torch.einsum("nchw,oc->nohw", features, weight[:, :, 0, 0]).relu()
        wanted = F.normalize(embedder.pool(adapted), dim=-1)
        torch.testing.assert_close(embedder(_images()), wanted)
        torch.testing.assert_close(embedder.pooled(_images()), wanted)


def test_glams_head_pools_then_projects_drops_and_normalises() -> None:
    embedder = Embedder(network(attention=GLAM, head=GLAM_HEAD)).eval()
    norm = embedder.head_norm
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    with torch.no_grad():
        pooled = embedder.pool(embedder.attention(embedder.backbone(_images())))
        torch.testing.assert_close(embedder.pooled(_images()), pooled)
        y = embedder.linear(pooled)
        y = (y - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        torch.testing.assert_close(embedder(_images()), F.normalize(y, dim=-1))
    assert isinstance(embedder.dropout, nn.Dropout)
    assert embedder.dropout.p == 0.2


def test_without_a_head_the_dimension_is_the_pooled_rows() -> None:
    assert Embedder(network(head=None, dim=CHANNELS))(_images()).shape == (3, CHANNELS)
    with pytest.raises(InvalidConfiguration, match=f"dim: {CHANNELS}"):
        Embedder(network(head=None, dim=8))
    with pytest.raises(ValidationError, match="adapt_dim"):
        network(head=None, adapt_dim=16, dim=8)


def test_without_a_head_there_is_no_layer_to_fold_into() -> None:
    embedder = Embedder(network(head=None, dim=CHANNELS))
    with pytest.raises(InvalidConfiguration, match=r"give model\.head"):
        _ = embedder.linear


@pytest.mark.parametrize("described", [network(), _everything()], ids=["plain", "everything"])
def test_a_saved_model_comes_back_whole(tmp_path: Path, described: Network) -> None:
    torch.manual_seed(5)
    embedder = Embedder(described)
    for parameter in embedder.parameters():
        nn.init.uniform_(parameter, 0.01, 0.1)
    embedder.eval()
    provenance = Provenance(
        created="2026-01-01T00:00:00Z",
        git_commit="none",
        config_sha256="none",
        command="none",
        weights="random",
        data=(),
        licences=("none",),
        metrics={},
    )
    space = Space(id="tiny-000000000000", dim=described.dim)
    spec = ModelSpec(
        role="gallery", name="tiny", network=described, space=space, provenance=provenance
    )
    save_model(tmp_path, embedder, spec)
    again, found = load_model(tmp_path)
    assert found == spec
    with torch.no_grad():
        torch.testing.assert_close(again(_images()), embedder(_images()), rtol=0, atol=0)
