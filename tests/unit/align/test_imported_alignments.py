"""Alignments from CTM, TextGrid and Kaldi archives as pdf_ids, worked out by hand, and what is refused."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import kaldi_native_io
import numpy as np
import pytest

from asr_kd.align.alignment_files import PhoneRun, TimedPhone, read_phone_symbols
from asr_kd.align.corpus import AlignmentReport
from asr_kd.align.imported import ImportConfig, import_alignments, imported_hmm
from asr_kd.align.phone_runs import fitted_runs, runs_of_times, states_of_runs
from asr_kd.align.segments import estimated_self_loops
from asr_kd.errors import AlignmentError, AsrKdError, ConfigError, LexiconError, ModelError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet

PHONES = PhoneSet(("SIL", "A", "T"))
# Monophones have pdf_ids 0 to 2 for SIL, 3 to 5 for A, 6 to 8 for T.
HMM = monophone_hmm(PHONES, HmmTopology(3, 3))
T_FRAMES = 10


def take(
    config: ImportConfig, hmm: Hmm = HMM, **num_frames: int
) -> tuple[dict[str, list[int]], AlignmentReport]:
    report = AlignmentReport()
    lengths = num_frames or {"u1": T_FRAMES}
    found = import_alignments(config, "train", lengths, 0.01, hmm, report)
    return {utt_id: pdf_ids.tolist() for utt_id, pdf_ids in found}, report


def test_a_phone_has_the_frames_whose_middle_it_covers() -> None:
    # Middles are 5, 15, 25, ... ms: A covers three, T those at 35, 45 and 55 ms; nobody the last four.
    times = [TimedPhone("A", 0.0, 0.035), TimedPhone("T", 0.035, 0.06)]
    assert runs_of_times(times, 10, 0.01) == [PhoneRun("A", 3), PhoneRun("T", 3), PhoneRun("", 4)]
    between = [TimedPhone("A", 0.02, 0.04), TimedPhone("T", 0.041, 0.044), TimedPhone("A", 0.07, 0.1)]
    expected = [PhoneRun("", 2), PhoneRun("A", 2), PhoneRun("", 3), PhoneRun("A", 3)]
    assert runs_of_times(between, 10, 0.01) == expected


def test_frames_are_shared_out_equally_among_the_states() -> None:
    # A: 4 frames over states 0 0 1 2; T: 2 frames over states 0 1; silence beside silence is one of 3 frames.
    runs = [(2, 4), (3, 2), (1, 1), (1, 2)]
    assert states_of_runs(runs, HMM).tolist() == [3, 3, 4, 5, 6, 7, 0, 1, 2]
    assert states_of_runs([(2, 3), (2, 3)], HMM).tolist() == [3, 4, 5, 3, 4, 5]


def test_a_few_frames_are_added_or_taken_off_at_the_ends() -> None:
    runs = [PhoneRun("SIL", 2), PhoneRun("A", 3)]
    assert fitted_runs(runs, 8) == [PhoneRun("SIL", 3), PhoneRun("A", 5)]
    assert fitted_runs(runs, 3) == [PhoneRun("SIL", 2), PhoneRun("A", 1)]
    assert fitted_runs(runs, 15) == "5 frames for audio of 15; is it of this audio, at this frame shift?"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def ctm(tmp_path: Path, *lines: str, **settings: Any) -> ImportConfig:
    return ImportConfig(format="ctm", path=str(write(tmp_path / "train.ctm", *lines)), **settings)


def test_ctm(tmp_path: Path) -> None:
    write(tmp_path / "train.ctm", ";; phones", "u1 1 0.00 0.03 A_B", "u1 1 0.03 0.06 T2 0.9", "u2 1 0 1 X")
    config = ImportConfig(format="ctm", path=str(tmp_path / "{split}.ctm"), strip_stress=True)
    found, report = take(config)
    assert found == {"u1": [3, 4, 5, 6, 6, 7, 7, 8, 8, 0]}
    assert (report.num_aligned, report.failures) == (1, [])


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (
            ["u1 1 0 0.1 AX"],
            LexiconError,
            r'ctm:1: phone "AX" has no model; expected one of SIL A T',
        ),
        (
            ["u1 1 0 0.2 A"],
            AlignmentError,
            r'"A" is outside .*: 0\.000 to 0\.200 of 0\.10 s .*ctm:1',
        ),
        (["u1 1 0 0.05 A", "u1 1 0.03 0.05 T"], AlignmentError, 'phones overlap: "T" starts at 0.030 s'),
        (["u3 1 0 0.1 A"], AlignmentError, r"u1: not in .*train\.ctm"),
        (["u1 1 0 A"], AlignmentError, r"ctm:1: malformed line of a CTM; expected utt_id channel start"),
        (["u1 1 x 0.1 A"], AlignmentError, r"ctm:1: malformed line of a CTM"),
        (
            ["u1 1 0 0.1 A", "u2 1 0 0.1 A", "u1 1 0 0.1 A"],
            AlignmentError,
            r'ctm:3: utterance "u1" is there twice',
        ),
    ],
)
def test_what_cannot_be_taken_is_named(
    tmp_path: Path, lines: list[str], error: type[AsrKdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        take(ctm(tmp_path, *lines))


def test_a_share_of_the_utterances_may_be_missing(tmp_path: Path) -> None:
    found, report = take(ctm(tmp_path, "u1 1 0 0.1 A", max_failed_share=0.5), u1=10, u2=10)
    assert list(found) == ["u1"]
    assert report.lines() == [f"u2 not in {tmp_path / 'train.ctm'}"]


def test_audio_shorter_than_a_frame_fails_by_itself(tmp_path: Path) -> None:
    lines = ("u1 1 0 0.1 A", "u2 1 0 0 A")
    found, report = take(ctm(tmp_path, *lines, max_failed_share=0.5), u1=10, u2=0)
    assert list(found) == ["u1"]
    assert report.lines() == [f"u2 audio shorter than a frame ({tmp_path / 'train.ctm'}:2)"]


def test_phones_have_other_names(tmp_path: Path) -> None:
    config = ctm(tmp_path, "u1 1 0 0.03 ah", "u1 1 0.03 0.07 spn", phone_map={"ah": "A"}, silence=("spn",))
    assert take(config)[0] == {"u1": [3, 4, 5, 0, 0, 0, 1, 1, 2, 2]}


TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.1
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.1
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.03
            text = ""
        intervals [2]:
            xmin = 0.03
            xmax = 0.06
            text = "A"
        intervals [3]:
            xmin = 0.06
            xmax = 0.1
            text = "T"
"""


def test_textgrid(tmp_path: Path) -> None:
    (tmp_path / "train" / "s1").mkdir(parents=True)
    path = tmp_path / "train" / "s1" / "u1.TextGrid"
    path.write_text(TEXTGRID)
    config = ImportConfig(format="textgrid", path=str(tmp_path / "{split}"))
    assert take(config)[0] == {"u1": [0, 1, 2, 3, 4, 5, 6, 6, 7, 8]}
    with pytest.raises(AlignmentError, match=r'u1\.TextGrid: no tier "segments"; got tiers phones'):
        take(config.model_copy(update={"tier": "segments"}))
    path.write_text("nothing")
    with pytest.raises(AlignmentError, match=r"u1\.TextGrid: not a TextGrid"):
        take(config)
    with pytest.raises(AlignmentError, match="no folder of TextGrid files"):
        take(config.model_copy(update={"path": str(tmp_path / "none")}))


def archive(path: Path, writer: str, **values: Any) -> Path:
    with getattr(kaldi_native_io, writer)(f"ark:{path}") as out:
        for utt_id, value in values.items():
            out.write(utt_id, value)
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    return write(tmp_path / "phones.txt", "<eps> 0", "SIL 1", "A_B 2", "T_E 3")


def test_kaldi_phones(tmp_path: Path, symbols: Path) -> None:
    # Two frames fewer than the audio has: one is added at each end.
    archive(tmp_path / "phones.1", "Int32VectorWriter", u1=[1, 2, 2, 2, 3, 3, 3, 1], u9=[1])
    archive(tmp_path / "phones.2", "Int32VectorWriter", u2=[2, 2, 2])
    config = ImportConfig(format="kaldi_phones", path=str(tmp_path / "phones.*.gz"), phones=symbols)
    found, _ = take(config, u1=10, u2=3)
    assert found == {"u1": [0, 1, 3, 4, 5, 6, 7, 8, 0, 1], "u2": [3, 4, 5]}


def test_kaldi_phone_lengths(tmp_path: Path, symbols: Path) -> None:
    path = archive(tmp_path / "lengths", "Int32PairVectorWriter", u1=[(2, 4), (2, 3), (1, 3)])
    config = ImportConfig(format="kaldi_phone_lengths", path=str(path), phones=symbols)
    assert take(config)[0] == {"u1": [3, 3, 4, 5, 3, 4, 5, 0, 1, 2]}


def test_kaldi_pdf_ids(tmp_path: Path) -> None:
    HMM.save(tmp_path / "hmm.json")
    path = archive(tmp_path / "ali", "Int32VectorWriter", u1=[4, 4, 5], u2=[3, 5, 8, 0])
    config = ImportConfig(format="kaldi_pdf_ids", path=str(path), hmm=tmp_path / "hmm.json")
    hmm = imported_hmm(config, PHONES, HmmTopology(2, 2))
    assert hmm.num_pdfs == 9
    assert take(config, hmm, u1=5, u2=3)[0] == {"u1": [4, 4, 4, 5, 5], "u2": [3, 5, 8]}
    path = archive(tmp_path / "ali", "Int32VectorWriter", u1=[40] * 10)
    with pytest.raises(AlignmentError, match=r"not one of the model's; expected 0 to 8, got 40 to 40"):
        take(config)
    with pytest.raises(ModelError, match=r"another phone set; expected the 2 phones .* the difference: T"):
        imported_hmm(config, PhoneSet(("SIL", "A")), HmmTopology(3, 3))


# The library's reader trips over itself when it is thrown away half-open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_archives_that_cannot_be_read(tmp_path: Path, symbols: Path) -> None:
    broken = tmp_path / "ali.1.gz"
    broken.write_bytes(gzip.compress(b"u1 \0B\4\x09")[:-3])
    config = ImportConfig(format="kaldi_phones", path=str(broken), phones=symbols)
    with pytest.raises(AlignmentError, match=r"ali\.1\.gz: not a whole \.gz file"):
        take(config)
    broken.write_bytes(gzip.compress(b"u1 \0BFM nothing"))
    with pytest.raises(AlignmentError, match=r"ali\.1\.gz: not such an archive"):
        take(config)
    with pytest.raises(AlignmentError, match="no such archive"):
        take(config.model_copy(update={"path": str(tmp_path / "x.*.gz")}))
    with pytest.raises(AlignmentError, match=r"phones\.txt: phone number 7 is not in the table"):
        read_phone_symbols(symbols)("7")


def test_settings_that_lack_something() -> None:
    with pytest.raises(ValueError, match="kaldi_pdf_ids needs hmm"):
        ImportConfig(format="kaldi_pdf_ids", path="x")
    with pytest.raises(ValueError, match="kaldi_phones needs phones"):
        ImportConfig(format="kaldi_phones", path="x")


def test_without_a_library_the_extra_is_named(
    tmp_path: Path, symbols: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaldi_native_io", None)
    config = ImportConfig(format="kaldi_phones", path=str(symbols), phones=symbols)
    with pytest.raises(ConfigError, match=r"pip install 'asr-kd\[alignments\]'"):
        take(config)


def test_self_loops_of_an_alignment() -> None:
    # Pdf 3 has 4 frames in 2 visits: (4 - 2 + 1) / (4 + 2); an unseen pdf 1 / 2.
    loops = estimated_self_loops([np.array([3, 3, 4, 3, 3])], 5)
    assert loops[[0, 3]].tolist() == [0.5, 0.5]
    assert loops[4] == pytest.approx(1 / 3)
