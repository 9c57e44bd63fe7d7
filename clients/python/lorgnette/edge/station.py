"""The work of an edge box, one round at a time: look, embed, queue; ask, write down."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from lorgnette.client import Client
from lorgnette.edge.diary import Diary, Question
from lorgnette.edge.eyes import Eyes, Photo
from lorgnette.encoder import Encoder
from lorgnette.errors import SpaceMismatch, TooManyRequests, Unreachable
from lorgnette.wire import SearchResponse

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 100
"""Photographs embedded before their questions are asked."""


@dataclass(frozen=True)
class Limits:
    """k: hits per photograph. most: questions kept while the server is away. ttl_s: how long."""

    k: int
    most: int
    ttl_s: float


@dataclass(frozen=True)
class Station:
    """Eyes, an encoder, a server, and the diary that a kill at any moment does not confuse."""

    eyes: Eyes
    encoder: Encoder
    client: Client
    diary: Diary
    limits: Limits

    def look(self) -> bool:
        """Embed what is new and queue it; forget what is too old, too much, or incomparable.

        True when there is more to look at: no more is taken at once than can wait for answers.
        """
        dropped = self.diary.drop_spaces_but(self.encoder.space.id)
        _report(dropped, "of another space than the student's")
        has_more = self._take_some()
        _report(self.diary.drop_above(self.limits.most), "beyond the queue's bound")
        _report(self.diary.drop_older(time.time() - self.limits.ttl_s), "older than their time")
        return has_more

    def _take_some(self) -> bool:
        share = min(_MOST_AT_ONCE, self.limits.most)
        for taken, photo in enumerate(self.eyes.new(self.diary)):
            if taken == share:
                return True
            self._take(photo)
        return False

    def _take(self, photo: Photo) -> None:
        question = Question(
            seq=0,
            photo=photo.name,
            sha256=photo.sha256,
            space=self.encoder.space.id,
            student=self.encoder.identity,
            vector=self.encoder.encode_pixels(photo.pixels),
            taken_s=time.time(),
        )
        self.diary.ask(question, sight=photo.sight)

    def ask(self) -> bool:
        """Ask what can be asked; whether nothing waits any more.

        Raises `SpaceMismatch`, after dropping what nobody can answer, when the server no longer
        speaks the encoder's space.
        """
        while (question := self.diary.oldest()) is not None:
            try:
                response = self._ask(question)
            except (Unreachable, TooManyRequests) as error:
                waiting = self.diary.waiting()
                log.warning("kept for later", extra={"waiting": waiting, "why": str(error)})
                return False
            except SpaceMismatch:
                dropped = self.diary.drop_space(question.space)
                _report(dropped, "of a space the server no longer speaks")
                raise
            self.diary.answer(question, _line(question, response))
        return True

    def _ask(self, question: Question) -> SearchResponse:
        return self.client.search_vectors(
            question.vector[None],
            space=self.encoder.space,
            student=question.student,
            k=self.limits.k,
        )


def _line(question: Question, response: SearchResponse) -> str:
    said = {
        "photo": question.photo,
        "sha256": question.sha256,
        "taken": datetime.fromtimestamp(question.taken_s, UTC).isoformat(),
        "space": question.space,
        "student": question.student,
        "hits": [hit.model_dump() for hit in response.results[0]],
    }
    return json.dumps(said, ensure_ascii=False)


def _report(dropped: int, why: str) -> None:
    if dropped:
        log.warning("dropped", extra={"questions": dropped, "why": why})
