"""Recogniser folders of an untrained net, which finds some words or other in any audio within a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from asr_kd.am.checkpoint import save_model
from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.extraction import FeatureConfig
from asr_kd.lang.arpa import write_arpa
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.lexicon import write_lexicon
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.recogniser import HMM_FILE, LEXICON_FILE, LM_FILE, SystemCard, save_recogniser
from asr_kd.stages.base import WorkDir
from tests.support.model_cards import model_card
from tests.support.spoken_words import LEXICON

RATE = 8000
# An untrained net is nearly constant: a wide beam and cheap words make it say many.
_SEARCH = DecodeConfig(acoustic_scale=0.02, insertion_penalty=-10.0, beam=60.0)


def write_recognisers(root: Path, *systems: str) -> WorkDir:
    """Write ``recognisers/<system>/`` of a work folder, all of one net that knows the words of LEXICON."""
    work = WorkDir(root)
    hmm = monophone_hmm(PhoneSet.from_lexicon(LEXICON))
    lm = uniform_ngram(LEXICON.words)
    save_graph(work.graph, build_graph(LEXICON, hmm, lm))
    write_arpa(work.graph / LM_FILE, lm)
    hmm.save(work.graph / HMM_FILE)
    write_lexicon(work.graph / LEXICON_FILE, LEXICON)
    config = FeatureConfig(name="fbank", options={"sampling_rate": RATE}, cmvn="speaker")
    card = model_card(config.card(config.load(None)), hmm.num_pdfs, left=2, right=1, units=16)
    torch.manual_seed(0)
    save_model(work.models / "net", card.build_net(), card)
    for system in systems:
        save_recogniser(
            work.recognisers / system, SystemCard(models=("net",)), work.models, work.graph, _SEARCH
        )
    return work


def write_takes(folder: Path, *texts: str) -> list[Path]:
    """Write half a second of noise and a transcript for each text: ``take0.wav``, ``take0.txt`` and so on."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    paths = [folder / f"take{number}.wav" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        soundfile.write(path, 0.1 * random.standard_normal(RATE // 2), RATE)
        path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    return paths
