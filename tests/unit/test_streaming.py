from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.am.checkpoint import AcousticModel
from asr_kd.data.audio import Audio, resample
from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.decode.parallel import decode_all
from asr_kd.errors import ConfigError, ModelError
from asr_kd.extraction import FeatureConfig
from asr_kd.frontend.base import compute_features
from asr_kd.lang.hmm import monophone_hmm
from asr_kd.lang.lexicon import write_lexicon
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet
from asr_kd.recogniser import Recogniser, System
from asr_kd.streaming import StreamingRecogniser, StreamingScorer
from tests.support.model_cards import model_card
from tests.support.spoken_words import LEXICON

HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON))


def model(seed: int, left: int, right: int, name: str = "fbank", cmvn: str = "none") -> AcousticModel:
    """Return an untrained net."""
    config = FeatureConfig(name=name, options={"sampling_rate": 8000}, cmvn=cmvn)
    card = model_card(config.card(config.load(None)), HMM.num_pdfs, left, right, units=32)
    torch.manual_seed(seed)
    net = card.build_net()
    with torch.no_grad():
        net.output.weight.mul_(20)  # a net whose opinions differ from frame to frame
    return AcousticModel(net.eval(), card, "weights")


def speech(rate: int, seconds: float = 2.0) -> Audio:
    rng = np.random.default_rng(1)
    steps = np.repeat(rng.uniform(0.01, 0.3, 20), int(seconds * rate / 20))
    return Audio((steps * rng.standard_normal(len(steps))).astype(np.float32), rate)


def offline(system: System, audio: Audio) -> np.ndarray:
    features = {
        key: compute_features(frontend, audio.samples, audio.sampling_rate, resample)
        for key, (_, frontend) in system.load_frontends(None).items()
    }
    return system.log_likelihoods(system.log_posteriors(features))


SYSTEMS = {
    "one net": System([model(0, 20, 5)]),
    "two windows": System([model(0, 20, 5), model(1, 3, 9)]),
    "two frontends": System([model(0, 20, 5), model(1, 0, 0, "mfcc")]),
}


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("chunk", [0.1, 5.0])
@pytest.mark.parametrize("name", SYSTEMS)
def test_streamed_scores_are_those_of_the_whole(name, chunk, rate):
    audio = speech(rate)
    scorer = StreamingScorer(SYSTEMS[name], rate)
    step = int(chunk * rate)
    parts = [
        scorer.accept(audio.samples[start : start + step]) for start in range(0, audio.num_samples, step)
    ]
    found = np.concatenate([*parts, scorer.finish()])
    expected = offline(SYSTEMS[name], audio)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 5e-3
    assert np.ptp(expected) > 1


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    folder = tmp_path / "graph"
    save_graph(folder, build_graph(LEXICON, HMM, uniform_ngram(LEXICON.words)))
    HMM.save(folder / "hmm.json")
    write_lexicon(folder / "lexicon.txt", LEXICON)
    # An untrained net is nearly constant: a wide beam and cheap words make it say many.
    search = DecodeConfig(acoustic_scale=0.02, insertion_penalty=-10.0, beam=60.0)
    return Recogniser(SYSTEMS["one net"], folder, search)


def test_the_stream_ends_with_the_words_of_the_whole(recogniser):
    audio = speech(8000)
    shown = []
    stream = StreamingRecogniser(recogniser)
    result = stream.transcribe("u", audio, 0.1, lambda heard, words: shown.append((heard, words)))
    scores = offline(recogniser.system, audio)
    ((_, expected),) = decode_all(recogniser.graph, [("u", scores)], recogniser.search)
    assert result.hypothesis.words == expected.words != ()
    assert result.hypothesis.cost == pytest.approx(expected.cost, abs=0.05)
    assert shown[-1] == (2.0, expected.words) or shown[-1][1] == expected.words
    assert len(shown) > 2
    assert [heard for heard, _ in shown] == sorted(heard for heard, _ in shown)
    assert len(result.latencies) in {0, len(expected.words)}
    assert result.real_time_factor > 0


def test_normalisation_waits_for_the_first_second():
    scorer = StreamingScorer(System([model(0, 2, 1, cmvn="utterance")]), 8000)
    audio = speech(8000)
    counts = [len(scorer.accept(audio.samples[start : start + 4000])) for start in range(0, 16000, 4000)]
    assert counts == [0, 0, 148, 50]
    assert len(scorer.finish()) == 2


def test_a_chunk_lasts(recogniser):
    with pytest.raises(ConfigError, match="more than 0 s"):
        StreamingRecogniser(recogniser).transcribe("u", speech(8000), 0.0, lambda heard, words: None)


def test_a_recogniser_without_its_lexicon(recogniser):
    (recogniser.graph / "lexicon.txt").unlink()
    with pytest.raises(ModelError, match=r"lexicon.txt: the recogniser was written before .* decode stage"):
        StreamingRecogniser(recogniser)
