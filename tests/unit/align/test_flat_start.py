"""Flat start and corpus alignment on features drawn from known Gaussians with known state durations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.flat_start import FlatStartConfig, TrainedMixtures, train_monophone
from asr_kd.align.forced import GmmScorer, align_corpus
from asr_kd.align.segments import segments
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.errors import AlignmentError, LexiconError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from tests.support.spoken_words import LEXICON

HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON), HmmTopology(2, 2))
CONFIG = FlatStartConfig(
    num_iterations=12,
    realign_iterations=(1, 2, 3, 4, 5, 6, 8, 10),
    total_gaussians=20,
    last_mixing_iteration=6,
    delta_order=0,
)
ALIGNMENT = AlignmentConfig(max_failed_share=0.0)
DIM = 8
SELF_LOOP = 0.8
NUM_UTTERANCES = 120


@dataclass(frozen=True)
class Synthetic:
    """Utterances whose states are known frame by frame."""

    corpus: AlignmentCorpus
    pdf_ids: dict[str, np.ndarray]
    log_densities: dict[str, np.ndarray]


def make_corpus(folder: Path, num_utterances: int) -> Synthetic:
    rng = np.random.default_rng(11)
    means = rng.normal(scale=2.0, size=(HMM.num_pdfs, DIM))
    transcripts, truth, log_densities = {}, {}, {}
    with FrameStoreWriter(folder, "float32", (DIM,)) as writer:
        for number in range(num_utterances):
            utt_id = f"utt{number:03}"
            words = [str(word) for word in rng.choice(LEXICON.words, size=int(rng.integers(2, 6)))]
            pdf_ids = draw_states(words, rng)
            features = means[pdf_ids] + rng.normal(size=(len(pdf_ids), DIM))
            writer.add(utt_id, features.astype(np.float32))
            transcripts[utt_id], truth[utt_id] = words, pdf_ids
            distances = features[:, None, :] - means
            log_densities[utt_id] = (-0.5 * (distances**2).sum(axis=2)).astype(np.float32)
    return Synthetic(AlignmentCorpus(folder, transcripts), truth, log_densities)


def draw_states(words: list[str], rng: np.random.Generator) -> np.ndarray:
    phones = ["SIL"]
    for word in words:
        alternatives = LEXICON.pronunciations[word]
        phones += alternatives[int(rng.integers(len(alternatives)))]
        phones += ["SIL"] if rng.random() < 0.3 else []
    states = [pdf for phone in phones for pdf in HMM.pdf_ids(HMM.phone_set.phone_id(phone))]
    return np.repeat(states, rng.geometric(1 - SELF_LOOP, size=len(states)))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    return make_corpus(tmp_path_factory.mktemp("features"), NUM_UTTERANCES)


@pytest.fixture(scope="module")
def trained(synthetic: Synthetic) -> TrainedMixtures:
    return train_monophone(synthetic.corpus, LEXICON, HMM, CONFIG, ALIGNMENT)


def aligned_with(
    synthetic: Synthetic, trained: TrainedMixtures, num_processes: int = 1
) -> dict[str, np.ndarray]:
    scorer = GmmScorer(trained.gmm, CONFIG.acoustic_scale, CONFIG.delta_order)
    report = AlignmentReport()
    aligned = align_corpus(synthetic.corpus, scorer, LEXICON, trained.hmm, ALIGNMENT, report, num_processes)
    return dict(aligned)


def test_flat_start_recovers_the_segments(synthetic: Synthetic, trained: TrainedMixtures) -> None:
    aligned = aligned_with(synthetic, trained)
    assert list(aligned) == list(synthetic.corpus.transcripts)
    num_same, errors = 0, []
    for utt_id, pdf_ids in aligned.items():
        found, true = segments(pdf_ids, HMM), segments(synthetic.pdf_ids[utt_id], HMM)
        if [part.phone for part in found] == [part.phone for part in true]:
            num_same += 1
            errors += [abs(a.start_frame - b.start_frame) for a, b in zip(found, true, strict=True)]
    assert num_same >= 0.9 * NUM_UTTERANCES
    assert np.mean(errors) < 0.2
    frames_right = np.mean(
        np.concatenate([aligned[utt_id] == synthetic.pdf_ids[utt_id] for utt_id in aligned])
    )
    assert frames_right > 0.95


def test_likelihood_rises_and_self_loops_are_found(trained: TrainedMixtures) -> None:
    likelihoods = np.array(trained.log_likelihoods)
    assert len(likelihoods) == CONFIG.num_iterations
    assert likelihoods[-1] > likelihoods[0] + 1.0
    assert np.all(np.diff(likelihoods) > -0.01)
    assert trained.hmm.self_loop_probability == pytest.approx(np.full(HMM.num_pdfs, SELF_LOOP), abs=0.05)
    assert trained.report.summary() == f"aligned {NUM_UTTERANCES} of {NUM_UTTERANCES}"


def test_number_of_processes_changes_nothing(synthetic: Synthetic, trained: TrainedMixtures) -> None:
    short = FlatStartConfig(num_iterations=3, realign_iterations=(1, 2), delta_order=0, total_gaussians=20)
    alone = train_monophone(synthetic.corpus, LEXICON, HMM, short, ALIGNMENT)
    together = train_monophone(synthetic.corpus, LEXICON, HMM, short, ALIGNMENT, num_processes=2)
    assert np.array_equal(alone.gmm.means, together.gmm.means)
    assert alone.hmm.fingerprint == together.hmm.fingerprint
    here, there = aligned_with(synthetic, trained), aligned_with(synthetic, trained, num_processes=2)
    assert list(here) == list(there)
    assert all(np.array_equal(here[utt_id], there[utt_id]) for utt_id in here)


def test_any_scorer_aligns(synthetic: Synthetic) -> None:
    def scorer(utt_id: str, features: np.ndarray) -> np.ndarray:
        assert features.shape == (len(synthetic.pdf_ids[utt_id]), DIM)
        return synthetic.log_densities[utt_id]

    report = AlignmentReport()
    aligned = dict(align_corpus(synthetic.corpus, scorer, LEXICON, HMM, ALIGNMENT, report))
    right = [np.mean(aligned[utt_id] == synthetic.pdf_ids[utt_id]) for utt_id in aligned]
    assert np.mean(right) > 0.97


@pytest.fixture
def one_too_short(tmp_path: Path) -> AlignmentCorpus:
    """Twenty utterances, one of which has five frames for three words."""
    whole, folder = tmp_path / "features", tmp_path / "cut"
    whole.mkdir()
    folder.mkdir()
    synthetic = make_corpus(whole, 20)
    store = synthetic.corpus.open()
    transcripts = {**synthetic.corpus.transcripts, "utt003": ["tea", "to", "eat"]}
    with FrameStoreWriter(folder, "float32", (DIM,)) as writer:
        for utt_id, frames in store.items():
            writer.add(utt_id, frames[:5] if utt_id == "utt003" else frames)
    return AlignmentCorpus(folder, transcripts)


REASON = "too short for its transcript: 5 frames, at least 12 are needed"


def test_failures_are_counted_with_their_reasons(one_too_short: AlignmentCorpus) -> None:
    lenient = AlignmentConfig(max_failed_share=0.05)
    config = CONFIG.model_copy(update={"num_iterations": 3})
    trained = train_monophone(one_too_short, LEXICON, HMM, config, lenient)
    assert trained.report.lines() == [f"utt003 {REASON}"]
    report = AlignmentReport()
    scorer = GmmScorer(trained.gmm, delta_order=0)
    aligned = dict(align_corpus(one_too_short, scorer, LEXICON, trained.hmm, lenient, report))
    assert "utt003" not in aligned
    assert report.summary() == "aligned 19 of 20; 1 failed"
    assert (report.num_aligned, report.lines()) == (19, [f"utt003 {REASON}"])


def test_too_many_failures_are_an_error(one_too_short: AlignmentCorpus) -> None:
    strict = AlignmentConfig(max_failed_share=0.04)
    message = rf"aligned 19 of 20; 1 failed; expected at most 4.0% failures, got 5.0%.*utt003: {REASON}"
    with pytest.raises(AlignmentError, match=message):
        train_monophone(one_too_short, LEXICON, HMM, CONFIG, strict)
    report = AlignmentReport()
    aligned = align_corpus(
        one_too_short, lambda _, x: np.zeros((len(x), HMM.num_pdfs), np.float32), LEXICON, HMM, strict, report
    )
    with pytest.raises(AlignmentError, match=message):
        list(aligned)
    assert report.num_aligned == 19


def test_a_corpus_where_nothing_aligns_is_an_error() -> None:
    with pytest.raises(AlignmentError, match="aligned 0 of 0"):
        AlignmentReport().check(max_failed_share=1.0)


def test_unknown_words_and_missing_features_are_named(synthetic: Synthetic) -> None:
    folder, transcripts = synthetic.corpus.folder, synthetic.corpus.transcripts
    unknown = AlignmentCorpus(folder, {**transcripts, "utt000": ["tea", "zebra"]})
    with pytest.raises(LexiconError, match='word is not in the lexicon: "zebra"'):
        train_monophone(unknown, LEXICON, HMM, CONFIG, ALIGNMENT)
    missing = AlignmentCorpus(folder, {**transcripts, "nobody": ["tea"]})
    with pytest.raises(AlignmentError, match=r'1 of 121 utterances have no features.*"nobody"'):
        train_monophone(missing, LEXICON, HMM, CONFIG, ALIGNMENT)
    with pytest.raises(AlignmentError, match="no utterances to align"):
        train_monophone(AlignmentCorpus(folder, {}), LEXICON, HMM, CONFIG, ALIGNMENT)


def test_features_that_are_not_finite_are_named(tmp_path: Path) -> None:
    frames = np.zeros((30, DIM), np.float32)
    frames[7, 2] = np.nan
    with FrameStoreWriter(tmp_path, "float32", (DIM,)) as writer:
        writer.add("broken", frames)
    corpus = AlignmentCorpus(tmp_path, {"broken": ["tea"]})
    with pytest.raises(
        AlignmentError, match="broken: features are not finite; got NaN or infinity in frame 7"
    ):
        train_monophone(corpus, LEXICON, HMM, CONFIG, ALIGNMENT)


def test_the_scratch_file_is_removed(synthetic: Synthetic, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"num_iterations": 1})
    train_monophone(synthetic.corpus, LEXICON, HMM, config, ALIGNMENT, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_hmm_file_survives_training(trained: TrainedMixtures, tmp_path: Path) -> None:
    trained.hmm.save(tmp_path / "hmm.json")
    assert Hmm.load(tmp_path / "hmm.json").fingerprint == trained.hmm.fingerprint != HMM.fingerprint
