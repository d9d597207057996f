"""A recogniser without nets: whatever it hears, the scores are those that it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.data.manifest import Utterance
from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.lang.arpa import write_arpa
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.ngram import NgramModel
from asr_kd.lang.phones import PhoneSet
from asr_kd.recogniser import CARD_FILE, LM_FILE
from tests.support.spoken_words import LEXICON

HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON))


@dataclass(frozen=True)
class KnownScores:
    """Stands for a :class:`asr_kd.recogniser.Recogniser`."""

    graph: Path
    search: DecodeConfig
    scores: np.ndarray

    def log_likelihoods(
        self, utterances: Sequence[Utterance], search_path: Path | None = None, in_turn: bool = False
    ) -> Iterator[tuple[str, np.ndarray]]:
        for utterance in utterances:
            yield utterance.utt_id, self.scores


def known_scores(folder: Path, lm: NgramModel, num_frames: int = 60) -> KnownScores:
    """Return a recogniser of random scores; its folder passes for one on the command line."""
    graph = folder / "graph"
    save_graph(graph, build_graph(LEXICON, HMM, lm))
    write_arpa(graph / LM_FILE, lm)
    (folder / CARD_FILE).write_text("{}\n")
    scores = np.random.default_rng(3).normal(0, 2, (num_frames, HMM.num_pdfs)).astype(np.float32)
    return KnownScores(graph, DecodeConfig(acoustic_scale=1.0), scores)
