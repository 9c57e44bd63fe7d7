"""The page: whole in itself, without scripts, its text escaped; and both verbs end to end."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from lorgnette.bundle import Bundle
from lorgnette.errors import InvalidConfiguration
from tests.tiny_bundle import write_tiny_bundle
from tests.training.pictures.images import photographed, pixels_of
from training.analyses.cli import analyse
from training.pictures.cli import report
from training.pictures.report import NO_EVIDENCE, gather, write_report
from training.pictures.run_record import read_run

HOSTILE = "<script>alert(1)</script>"
CONFIG = {
    "name": "student",
    "schedule": {"seed": 7, "phases": [1, 2]},
    "crops": {"seed": 8},
    "note": HOSTILE,
}


class _Page(HTMLParser):
    """Tags and their attributes, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _write_run(directory: Path, *, is_finished: bool = True) -> Path:
    directory.mkdir()
    saved = {"sha256": "a1" * 32, "git_commit": "c0ffee", "hardware": "2 × CPU", "config": CONFIG}
    (directory / "config.json").write_text(json.dumps(saved))
    lines = [f'{{"step": {n}, "loss": {1 / (n + 1)}, "lr_factor": 1}}\n' for n in range(30)]
    (directory / "metrics.jsonl").write_text("".join(lines))
    provenance = {
        "command": f"lorgnette train x.yaml {HOSTILE}",
        "created": "2026-01-02T03:04:05Z",
        "data": [f"photos {HOSTILE}", "more"],
        "metrics": {"steps": 30, "loss": 0.03333333333},
    }
    if is_finished:
        spec = {"role": "query", "space": {"id": "here-0123"}, "provenance": provenance}
        (directory / "model.json").write_text(json.dumps({"spec": spec}))
    return directory


def _write_classes(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("$mug$", "la&mp", "<i>shoe"):
        (folder / name).mkdir(parents=True)
        base = random.integers(0, 256, (4, 4, 3))
        for number in range(4):
            noisy = np.clip(base + random.integers(-60, 60, base.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).resize((50, 40)).save(folder / name / f"{number}.png")
    (folder / "$mug$" / "broken.png").write_bytes(b"no")
    return folder


def _pair(folder: Path) -> tuple[Bundle, Bundle]:
    return (
        write_tiny_bundle(folder / "teacher", role="gallery"),
        write_tiny_bundle(folder / "student", role="query"),
    )


def _invoke(verb: object, *arguments: object) -> str:
    app = typer.Typer()
    app.command()(verb)  # type: ignore[type-var]
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_says_what_was_run_and_escapes_what_others_wrote(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run")
    text = write_report(run, tmp_path / "out", NO_EVIDENCE, command=f"report {HOSTILE}").read_text()
    page = _Page(text)
    assert "<script" not in text
    assert page.text.count(HOSTILE) == 4
    for said in ("a1" * 32, "c0ffee", "schedule.seed 7, crops.seed 8", "2 × CPU", "here-0123"):
        assert said in page.text
    for said in ("0.0333333", "finished", "2026-01-02T03:04:05Z", "; more"):
        assert said in page.text


def test_the_page_needs_nothing_beside_itself(tmp_path: Path) -> None:
    evidence = gather(photographed(tmp_path / "p", classes=3, per_class=4), perplexity=5, seed=0)
    run = _write_run(tmp_path / "run")
    text = write_report(run, tmp_path / "out", evidence, command="report").read_text()
    page = _Page(text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    names = ["precision_recall", "ranked_galleries", "tsne", "curves"]
    assert len(images) == len(names)
    for image, name in zip(images, names, strict=True):
        kind, _, content = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        png = base64.b64decode(content, validate=True)
        assert png == (tmp_path / "out" / f"{name}.png").read_bytes()
        assert pixels_of(png).shape[1] > 600
        assert len(image["alt"] or "") > 40
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\(|\son\w+=", re.sub(r'src="[^"]*"', "", text))
    policy = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run")
    one, same = (
        write_report(run, tmp_path / name, NO_EVIDENCE, command="report") for name in ("a", "b")
    )
    assert one.read_bytes() == same.read_bytes()


def test_the_scores_and_their_ratios_are_on_the_page(tmp_path: Path) -> None:
    evidence = gather(photographed(tmp_path / "p", classes=4, per_class=6), perplexity=5, seed=0)
    assert [row.name for row in evidence.scores] == [
        "teacher → teacher",
        "student → student",
        "student → teacher",
    ]
    teacher, _, asymmetric = evidence.scores
    assert teacher.mean_ap_ratio == teacher.precision_at_1_ratio == 1
    assert asymmetric.mean_ap_ratio == pytest.approx(asymmetric.mean_ap / teacher.mean_ap)
    assert evidence.conditions.startswith("Teacher: a teacher (as it is). Student: a student (as")
    assert "p, leave-one-out: 24 queries with something to find" in evidence.conditions
    text = write_report(_write_run(tmp_path / "run"), tmp_path, evidence, command="c").read_text()
    assert f"<td>{asymmetric.mean_ap:.2f} %</td>" in text


def test_a_run_that_has_not_finished_is_said_to_be_so(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run", is_finished=False)
    (run / "model.json").write_bytes(b"\xff{")
    record = read_run(run)
    assert not record.is_finished
    assert record.facts["command"] == record.facts["space"] == "not recorded"
    page = write_report(run, tmp_path / "out", NO_EVIDENCE, command="report").read_text()
    assert "not finished" in page


@pytest.mark.parametrize("content", [None, "{}", "[]", '{"config": 3}', "torn {"])
def test_a_directory_that_is_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InvalidConfiguration, match="is no run"):
        read_run(tmp_path)


def test_the_report_verb_on_a_run_alone(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run")
    assert str(run / "report" / "report.html") in _invoke(report, run)
    assert sorted(path.name for path in (run / "report").iterdir()) == ["curves.png", "report.html"]


def test_the_report_verb_with_a_teacher_and_a_student(tmp_path: Path) -> None:
    teacher, student = _pair(tmp_path)
    run, out = _write_run(tmp_path / "run"), tmp_path / "out"
    arguments = ["--gallery", teacher.directory, "--query", student.directory, "--perplexity", 5]
    arguments += ["--dataset", _write_classes(tmp_path / "things"), "--out", out]
    _invoke(report, run, *arguments)
    page = (out / "report.html").read_text()
    assert "leave-one-out: 12 queries" in page
    assert "--perplexity 5 --seed 0" in page
    assert str(tmp_path) not in page
    _invoke(report, run, *arguments)
    assert (out / "report.html").read_text() == page


@pytest.mark.parametrize("given", ["--gallery", "--query", "--dataset", "--splits"])
def test_half_a_question_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(InvalidConfiguration, match="--gallery, --query and --dataset together"):
        _invoke(report, _write_run(tmp_path / "run"), given, tmp_path)


def test_a_run_without_metrics_is_refused(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run")
    (run / "metrics.jsonl").unlink()
    with pytest.raises(InvalidConfiguration, match="expected the metrics of a training"):
        _invoke(report, run)


def test_the_analyse_verb_prints_and_writes_its_figures(tmp_path: Path) -> None:
    teacher, student = _pair(tmp_path)
    folder, out = _write_classes(tmp_path / "things"), tmp_path / "out"
    arguments = ["--gallery", teacher.directory, "--query", student.directory]
    printed = _invoke(analyse, *arguments, "--dataset", folder, "--out", out, "--base", 0.5)
    for said in ("alignment", "uniformity", "utilisation", "closed form", "λ"):
        assert said in printed
    figures = json.loads((out / "analysis.json").read_text())
    assert figures["loss"] == {
        "name": "multi-similarity",
        "alpha": 17.97,
        "beta": 75.66,
        "base": 0.5,
    }
    assert figures["gallery"].startswith(f"{teacher.manifest.name} 1 (squashed to")
    assert figures["photographs"] == {"queries": 12, "gallery": 12}
    assert len(figures["positivity"]["alone"]) == 19
    assert {"geometry.png", "positivity.png"} < {path.name for path in out.iterdir()}


def test_a_trained_run_has_recorded_all_that_a_report_says(experiment: Path) -> None:
    record = read_run(experiment / "student")
    assert record.name == "tiny-student"
    assert record.is_finished
    unsaid = [label for label, value in record.facts.items() if value == "not recorded"]
    assert unsaid == []
    command = _invoke(report, experiment / "student", "--out", experiment / "report")
    assert "report.html" in command
