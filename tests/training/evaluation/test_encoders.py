"""Who embeds, at what size, and what they were trained on."""

from __future__ import annotations

import pytest

from lorgnette.bundle import Bundle
from lorgnette.errors import (
    InvalidConfiguration,
)
from training.evaluation.encoders import Resolution, open_encoder, saw_landmarks_of


@pytest.mark.parametrize(
    ("data", "saw"),
    [
        ("gldv2 (clean)", True),
        ("Google-Landmarks v2", True),
        ("google_landmarks", True),
        ("SfM-120k", False),
        ("RGLDv2-clean", False),
    ],
)
def test_google_landmarks_are_recognised(data: str, saw: bool) -> None:
    assert saw_landmarks_of((data,)) is saw


def test_a_bundle_cannot_be_asked_for_another_size(teacher: Bundle) -> None:
    with pytest.raises(InvalidConfiguration, match="its graph resizes by itself"):
        open_encoder(teacher.directory, resolution=Resolution(1024, (1.0,)))
