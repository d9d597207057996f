"""Senones trained on features whose means depend on the neighbours, drawn from a known tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.flat_start import FlatStartConfig, TrainedMixtures, train_monophone
from asr_kd.align.forced import GmmScorer, align_corpus
from asr_kd.align.segments import segments
from asr_kd.align.senones import SenoneConfig, SenoneResult, train_senones
from asr_kd.align.viterbi import AlignmentConfig
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.errors import AlignmentError, LexiconError
from asr_kd.lang.context import triphones_of
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.triphone_tree import TriphoneTree
from tests.support.spoken_words import LEXICON

PHONES = PhoneSet.from_lexicon(LEXICON)  # SIL A I S T U
TOPOLOGY = HmmTopology(2, 2)
FLAT_START = FlatStartConfig(
    num_iterations=10,
    realign_iterations=(1, 2, 3, 4, 5, 6, 8, 10),
    total_gaussians=20,
    last_mixing_iteration=6,
    delta_order=0,
)
ALIGNMENT = AlignmentConfig(max_failed_share=0.0)
CONFIG = SenoneConfig(
    num_leaves=16, min_frames=15, num_iterations=4, realign_iterations=(2, 4), total_gaussians=16,
    last_mixing_iteration=3,
)  # fmt: skip
DIM = 8
NUM_UTTERANCES = 80


def true_tree() -> TriphoneTree:
    """Vowels ask in their last state whether T follows, T in its first whether S or silence is before."""
    roots = [[0], [1]]
    splits = []
    pdf = 2
    first_child = 2 * len(PHONES)
    for phone in PHONES.phones[1:]:
        for state in range(2):
            if (phone in "AIU" and state == 1) or (phone == "T" and state == 0):
                side = "right" if phone in "AIU" else "left"
                roots.append([side, 0 if side == "right" else 1, first_child, first_child + 1])
                splits += [[pdf], [pdf + 1]]
                first_child += 2
                pdf += 2
            else:
                roots.append([pdf])
                pdf += 1
    return TriphoneTree.from_json(
        {
            "phone_set": PHONES.to_json(),
            "topology": TOPOLOGY.to_json(),
            "questions": [["T"], ["S", "SIL"]],
            "nodes": roots + splits,
        }
    )


@dataclass(frozen=True)
class Synthetic:
    """Utterances whose senones are known frame by frame."""

    corpus: AlignmentCorpus
    pdf_ids: dict[str, np.ndarray]
    tree: TriphoneTree


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(11)
    tree = true_tree()
    of_state = rng.normal(scale=2.0, size=(len(PHONES) + 1, 2, DIM))
    owners = [tree.phone_and_state(pdf) for pdf in range(tree.num_pdfs)]
    means = np.array([of_state[owner] for owner in owners]) + rng.normal(scale=0.9, size=(tree.num_pdfs, DIM))
    transcripts, truth = {}, {}
    with FrameStoreWriter(folder, "float32", (DIM,)) as writer:
        for number in range(NUM_UTTERANCES):
            utt_id = f"utt{number:03}"
            words = [str(word) for word in rng.choice(LEXICON.words, size=int(rng.integers(2, 6)))]
            pdf_ids = draw_senones(words, tree, rng)
            features = means[pdf_ids] + 0.7 * rng.normal(size=(len(pdf_ids), DIM))
            writer.add(utt_id, features.astype(np.float32))
            transcripts[utt_id], truth[utt_id] = words, pdf_ids
    return Synthetic(AlignmentCorpus(folder, transcripts), truth, tree)


def draw_senones(words: list[str], tree: TriphoneTree, rng: np.random.Generator) -> np.ndarray:
    phones = ["SIL"]
    for word in words:
        alternatives = LEXICON.pronunciations[word]
        phones += alternatives[int(rng.integers(len(alternatives)))]
        phones += ["SIL"] if rng.random() < 0.3 else []
    ids = [PHONES.phone_id(phone) for phone in phones]
    states = [tree.pdf_id(*triphone, state) for triphone in triphones_of(ids) for state in range(2)]
    return np.repeat(states, rng.geometric(0.2, size=len(states)))


@pytest.fixture(scope="module")
def monophones(synthetic: Synthetic) -> TrainedMixtures:
    hmm = monophone_hmm(PHONES, TOPOLOGY)
    return train_monophone(synthetic.corpus, LEXICON, hmm, FLAT_START, ALIGNMENT)


@pytest.fixture(scope="module")
def senones(synthetic: Synthetic, monophones: TrainedMixtures) -> SenoneResult:
    return train_senones(synthetic.corpus, LEXICON, monophones, CONFIG, FLAT_START, ALIGNMENT)


def senone_pairs(synthetic: Synthetic, found: SenoneResult) -> set[tuple[int, int]]:
    """Return the true and the found senone of every state of every triphone that was seen."""
    tree = found.trained.hmm.tree
    return {
        (synthetic.tree.pdf_id(*triphone, state), tree.pdf_id(*triphone, state))
        for triphone in seen_triphones(synthetic)
        for state in range(2)
    }


def test_clustered_questions_find_most_of_the_tree(synthetic: Synthetic, senones: SenoneResult) -> None:
    assert senones.trained.hmm.num_pdfs == synthetic.tree.num_pdfs == 16
    # S with silence need not be a cluster, so that a senone or two may be divided another way.
    assert 16 <= len(senone_pairs(synthetic, senones)) <= 18


def seen_triphones(synthetic: Synthetic) -> set[tuple[int, int, int]]:
    hmm = Hmm(PHONES, TOPOLOGY, synthetic.tree)
    return {
        triphone
        for pdf_ids in synthetic.pdf_ids.values()
        for triphone in triphones_of([PHONES.phone_id(part.phone) for part in segments(pdf_ids, hmm)])
    }


def test_likelihood_and_alignment_are_better_than_the_monophones(
    synthetic: Synthetic, monophones: TrainedMixtures, senones: SenoneResult
) -> None:
    assert len(senones.trained.log_likelihoods) == CONFIG.num_iterations
    assert senones.trained.log_likelihoods[-1] > monophones.log_likelihoods[-1] + 0.1
    assert senones.trained.report.summary() == f"aligned {NUM_UTTERANCES} of {NUM_UTTERANCES}"
    assert senones.num_triphones == len(seen_triphones(synthetic))
    check_alignment(synthetic, senones)


def check_alignment(synthetic: Synthetic, senones: SenoneResult) -> None:
    trained = senones.trained
    scorer = GmmScorer(trained.gmm, FLAT_START.acoustic_scale, 0, trained.transform)
    hmm = senones.trained.hmm
    aligned = dict(align_corpus(synthetic.corpus, scorer, LEXICON, hmm, ALIGNMENT, AlignmentReport()))
    true_hmm = Hmm(PHONES, TOPOLOGY, synthetic.tree)
    same = [
        [part.phone for part in segments(pdf_ids, hmm)]
        == [part.phone for part in segments(synthetic.pdf_ids[utt_id], true_hmm)]
        for utt_id, pdf_ids in aligned.items()
    ]
    assert np.mean(same) > 0.9
    owners = np.array([hmm.tree.phone_and_state(pdf) for pdf in range(16)])
    true_owners = np.array([synthetic.tree.phone_and_state(pdf) for pdf in range(16)])
    right = [
        (owners[pdf_ids] == true_owners[synthetic.pdf_ids[utt_id]]).all(axis=1)
        for utt_id, pdf_ids in aligned.items()
    ]
    assert np.mean(np.concatenate(right)) > 0.95


def test_number_of_processes_changes_nothing(
    synthetic: Synthetic, monophones: TrainedMixtures, senones: SenoneResult
) -> None:
    arguments = (synthetic.corpus, LEXICON, monophones, CONFIG, FLAT_START, ALIGNMENT)
    together = train_senones(*arguments, num_processes=2)
    assert together.trained.hmm.fingerprint == senones.trained.hmm.fingerprint
    assert np.array_equal(together.trained.gmm.means, senones.trained.gmm.means)


def test_given_questions_find_the_tree_that_made_the_features(
    synthetic: Synthetic, monophones: TrainedMixtures
) -> None:
    given = CONFIG.model_copy(update={"questions": (("T",), ("S", "SIL")), "num_iterations": 1})
    result = train_senones(synthetic.corpus, LEXICON, monophones, given, FLAT_START, ALIGNMENT)
    tree = result.trained.hmm.tree
    assert isinstance(tree, TriphoneTree)
    assert set(tree.questions) == {("T",), ("S", "SIL")}
    assert len(senone_pairs(synthetic, result)) == 16, "one senone for each true one"


def test_what_cannot_be_is_refused_before_training(
    synthetic: Synthetic, monophones: TrainedMixtures, tmp_path: Path
) -> None:
    hmm = monophone_hmm(PHONES, TOPOLOGY)
    with pytest.raises(AlignmentError, match=r"num_leaves: fewer senones .* expected 12 or more.* got 11"):
        SenoneConfig(num_leaves=11).check(hmm)
    with pytest.raises(LexiconError, match=r'senones.questions: a question names the phone "ZH"'):
        SenoneConfig(num_leaves=12, questions=(("A", "ZH"),)).check(hmm)
    SenoneConfig(num_leaves=12).check(hmm)
    greedy = CONFIG.model_copy(update={"num_leaves": 5000})
    with pytest.raises(AlignmentError, match=r"too little data for so many senones; expected \d+ or fewer"):
        train_senones(synthetic.corpus, LEXICON, monophones, greedy, FLAT_START, ALIGNMENT, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lda_and_mllt_align_as_well(
    synthetic: Synthetic, monophones: TrainedMixtures, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames do not depend on their neighbours here, so that all that LDA can find is in the middle one."""
    config = CONFIG.model_copy(
        update={"transform": "lda_mllt", "splice": 1, "transform_dim": 10, "mllt_iterations": (2, 3)}
    )
    arguments = (synthetic.corpus, LEXICON, monophones, config, FLAT_START, ALIGNMENT)
    result = train_senones(*arguments)
    transform = result.trained.transform
    assert transform is not None
    assert (transform.reach, transform.matrix.shape) == (1, (10, 3 * DIM))
    assert result.trained.gmm.dim == 10
    assert len(result.trained.log_likelihoods) == CONFIG.num_iterations
    gains = [float(line.split()[1]) for line in capsys.readouterr().err.splitlines() if "MLLT: " in line]
    assert len(gains) == 2
    assert min(gains) >= 0
    check_alignment(synthetic, result)
    together = train_senones(*arguments, num_processes=2).trained
    assert together.transform is not None
    assert np.array_equal(together.transform.matrix, transform.matrix)


def test_more_dimensions_than_frames_have_are_refused(
    synthetic: Synthetic, monophones: TrainedMixtures
) -> None:
    config = CONFIG.model_copy(update={"transform": "lda_mllt", "splice": 0, "transform_dim": DIM + 1})
    with pytest.raises(AlignmentError, match=rf"expected {DIM} or fewer, got {DIM + 1}"):
        train_senones(synthetic.corpus, LEXICON, monophones, config, FLAT_START, ALIGNMENT)


def test_settings_without_a_transform_are_those_of_older_work_folders() -> None:
    assert "splice" not in SenoneConfig(num_leaves=12).identity()
    assert SenoneConfig(num_leaves=12, transform="lda_mllt").identity()["splice"] == 3
