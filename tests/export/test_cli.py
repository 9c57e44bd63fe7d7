from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import BundleCorrupt, InvalidBundle, InvalidConfiguration, LorgnetteError
from tests.export.conftest import Trained, invoke
from training.space import embedder_sha256
from training.trained_model import SPEC_NAME, WEIGHTS_NAME


def test_the_version_is_that_of_the_weights(bundle: Bundle, trained: Trained) -> None:
    digest = embedder_sha256(trained.embedder, trained.spec.network.input)
    assert bundle.manifest.version == digest[:8]


def test_the_shipped_directory_holds_nothing_but_the_bundle(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    models = {"model.onnx", "model.fp16.onnx", "net.onnx", "pre.onnx"}
    assert names == {"manifest.json", "golden", *models}
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--variants", "fp16,int4"], InvalidConfiguration, "'int4'"),
        (["--variants", "net,pre"], InvalidConfiguration, "needs fp16 or fp32"),
        (["--name", "My Student"], InvalidConfiguration, "--name 'My Student'"),
        (["--version", "../1"], InvalidConfiguration, "--version '../1'"),
        (["--photos", "nowhere"], InvalidConfiguration, "found no nowhere"),
    ],
)
def test_an_option_that_cannot_work_is_refused(
    trained: Trained,
    tmp_path: Path,
    arguments: list[str],
    error: type[LorgnetteError],
    says: str,
) -> None:
    result = invoke(trained.run_dir, "--out", tmp_path / "out", *arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, error)
    assert says in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_run_directory_is_refused(tmp_path: Path) -> None:
    result = invoke(tmp_path / "nowhere", "--out", tmp_path / "out")
    assert isinstance(result.exception, InvalidConfiguration)
    assert "lorgnette train" in str(result.exception)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--out", tmp_path / "out")
    assert isinstance(result.exception, InvalidBundle)
    assert list(tmp_path.iterdir()) == []


def test_changed_weights_are_refused(trained: Trained, tmp_path: Path) -> None:
    for name in (SPEC_NAME, WEIGHTS_NAME):
        (tmp_path / name).write_bytes((trained.run_dir / name).read_bytes())
    weights = bytearray((tmp_path / WEIGHTS_NAME).read_bytes())
    weights[-1] ^= 1
    (tmp_path / WEIGHTS_NAME).write_bytes(weights)
    result = invoke(tmp_path, "--out", tmp_path / "out")
    assert isinstance(result.exception, BundleCorrupt)


def test_an_existing_bundle_is_refused_before_the_network_is_traced(
    trained: Trained, exported: Path
) -> None:
    result = invoke(trained.run_dir, "--out", exported)
    assert isinstance(result.exception, InvalidConfiguration)
    assert "--force" in str(result.exception)


def test_the_module_of_the_verb_imports_nothing_heavy() -> None:
    code = "import export.cli, sys; print(sorted({'torch', 'onnx', 'timm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
