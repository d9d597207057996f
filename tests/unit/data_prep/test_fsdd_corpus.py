"""FSDD: both layouts, both splits, and strings of joined digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.audio import Audio, load_audio
from asr_kd.data.manifest import Utterance, read_manifest
from asr_kd.errors import AudioError, ConfigError, CorpusError
from data_prep.fsdd import Options, find_recordings, join_digits, prepare, split_recordings

SPEAKERS = ("anna", "ben", "carl", "dora")
HELD_OUT = {"dev_speakers": ("carl",), "test_speakers": ("dora",)}


@pytest.fixture
def original(tmp_path: Path, make_wav: Callable[..., Path]) -> Path:
    """GitHub's archive in small: four speakers, ten digits, recordings 0, 5 and 10."""
    folder = tmp_path / "corpus" / "free-spoken-digit-dataset-master"
    for speaker in SPEAKERS:
        for digit in range(10):
            for index in (0, 5, 10):
                make_wav(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", seconds=0.2)
    (folder / "README.md").write_text("about")
    return folder.parent


def is_string(row: Utterance) -> bool:
    return row.utt_id.startswith("str-")


def test_speakers_are_held_out(original: Path, tmp_path: Path) -> None:
    prepared = prepare(original, tmp_path, Options(**HELD_OUT))
    speakers = {split: {row.speaker for row in rows} for split, rows in prepared.splits.items()}
    assert speakers == {"train": {"anna", "ben"}, "dev": {"carl"}, "test": {"dora"}}
    isolated = [row for row in prepared.splits["test"] if not is_string(row)]
    assert len(isolated) == 30
    assert {row.utt_id: row.text for row in isolated}["iso-dora-7-05"] == "SEVEN"
    assert prepared.summary["speakers_disjoint"] is True
    assert (tmp_path / "lexicon.txt").read_text().splitlines()[-2:] == ["ZERO Z IH R OW", "ZERO Z IY R OW"]


def test_the_official_split_goes_by_index(original: Path, tmp_path: Path) -> None:
    prepared = prepare(original, tmp_path, Options(split="official", isolated=True))
    for split, index in (("test", "00"), ("dev", "05"), ("train", "10")):
        isolated = [row for row in prepared.splits[split] if not is_string(row)]
        assert {row.utt_id[-2:] for row in isolated} == {index}
        assert {row.speaker for row in isolated} == set(SPEAKERS)
    assert prepared.summary["speakers_disjoint"] is False


def test_strings_use_each_recording_of_one_speaker_once(original: Path, tmp_path: Path) -> None:
    options = Options(**HELD_OUT, isolated=False, min_digits=2, max_digits=4, train_string_passes=3)
    prepare(original, tmp_path, options)
    rows = {split: read_manifest(tmp_path / f"{split}.jsonl") for split in ("train", "dev", "test")}
    for split, num_speakers, passes in (("train", 2, 3), ("dev", 1, 1), ("test", 1, 1)):
        lengths = [len(row.words) for row in rows[split]]
        assert set(lengths) <= {2, 3, 4}
        assert (
            30 * num_speakers * passes - num_speakers * passes <= sum(lengths) <= 30 * num_speakers * passes
        )
        counts = [sum(row.words.count(word) for row in rows[split]) for word in ("ZERO", "NINE")]
        assert max(counts) <= 3 * num_speakers * passes
    row = rows["test"][0]
    assert row.audio == str(tmp_path / "audio" / f"{row.utt_id}.flac")
    audio = load_audio(row.audio)
    assert audio.num_samples == row.num_samples
    pauses = row.duration - 0.2 * len(row.words)
    assert 0.1 * (len(row.words) + 1) <= pauses + 1e-3
    assert pauses - 1e-3 <= 0.5 * (len(row.words) + 1)


def test_joined_digits_lie_between_quiet_pauses_that_are_not_digital_silence() -> None:
    options = Options(min_pause=0.2, max_pause=0.2, noise_snr_db=40.0)
    digit = Audio(np.full(800, 0.5, dtype=np.float32), 8000)
    joined = join_digits([digit, digit], np.random.default_rng(0), options)
    assert len(joined) == 3 * 1600 + 2 * 800
    for start in (0, 2400, 4800):
        pause = joined[start : start + 1600].astype(float)
        assert 20 * np.log10(0.5 / np.sqrt(np.mean(pause**2))) == pytest.approx(40.0, abs=0.5)
    assert joined[2000] == pytest.approx(0.5, abs=0.03)
    assert abs(float(joined[1600])) < 0.03  # faded in: no step
    assert abs(float(joined[2399])) < 0.03


def test_loud_digits_are_scaled_below_full_scale() -> None:
    loud = Audio(np.ones(800, dtype=np.float32), 8000)
    assert np.abs(join_digits([loud], np.random.default_rng(0), Options(noise_snr_db=0.0))).max() < 1.0


def test_the_same_seed_gives_the_same_files(original: Path, tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / name
        out.mkdir()
        prepare(original, out, Options(**HELD_OUT, seed=seed, train_string_passes=1, isolated=False))
        files = sorted((out / "audio").iterdir())
        contents.append([(file.name, file.read_bytes()) for file in files])
        assert sum(name.startswith("str-dora") for name, _ in contents[-1]) >= 4
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_the_shared_copy(shared_data: Path) -> None:
    recordings = find_recordings(shared_data / "fsdd")
    assert len(recordings) == 3000
    parts = split_recordings(recordings, Options())
    assert {split: len(part) for split, part in parts.items()} == {"train": 1500, "dev": 500, "test": 1000}
    official = split_recordings(recordings, Options(split="official"))
    assert {split: len(part) for split, part in official.items()} == {"test": 300, "dev": 300, "train": 2400}


def test_the_shared_copy_prepares_with_isolated_digits_and_strings(shared_data: Path, tmp_path: Path) -> None:
    options = Options(train_string_passes=0, dev_speakers=("nicolas",), test_speakers=("theo",))
    prepared = prepare(shared_data / "fsdd", tmp_path, options)
    test = prepared.splits["test"]
    assert sum(not is_string(row) for row in test) == 500
    assert 498 <= sum(len(row.words) for row in test if is_string(row)) <= 500
    assert not any(is_string(row) for row in prepared.splits["train"])


@pytest.mark.parametrize(
    "options",
    [
        {"test_speakers": ("zoe",), "dev_speakers": ("anna",)},
        {"test_speakers": ("anna",), "dev_speakers": ("anna",)},
        {"test_speakers": ("anna", "ben"), "dev_speakers": ("carl", "dora")},
        {"test_speakers": ("anna", "anna"), "dev_speakers": ("carl",)},
    ],
)
def test_speakers_must_divide(original: Path, tmp_path: Path, options: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(
        ConfigError, match=r"do not divide the speakers; expected different ones of anna, ben"
    ):
        prepare(original, tmp_path, Options(**options))


def test_no_speaker_held_out_is_an_empty_split(original: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the dev split is empty"):
        prepare(original, tmp_path, Options(dev_speakers=(), test_speakers=("dora",)))


def test_other_folders_and_limits_are_refused(
    original: Path, tmp_path: Path, make_wav: Callable[..., Path]
) -> None:
    recordings = original / "free-spoken-digit-dataset-master" / "recordings"
    with pytest.raises(ConfigError, match="above its max"):
        prepare(original, tmp_path, Options(min_digits=5, max_digits=4))
    with pytest.raises(CorpusError, match="no such corpus folder"):
        prepare(tmp_path / "nowhere", tmp_path, Options())
    with pytest.raises(CorpusError, match=r"is not FSDD; .*got 0 recordings of 0 digits"):
        prepare(tmp_path, tmp_path, Options())
    extra = make_wav(recordings / "0_0_1_1_0_1_0_1.wav")
    with pytest.raises(CorpusError, match=r'is not FSDD; .*got "0_0_1_1_0_1_0_1\.wav"'):
        prepare(original, tmp_path, Options(**HELD_OUT))
    extra.unlink()
    double = make_wav(recordings / "0_anna_0.flac")
    with pytest.raises(CorpusError, match="both as WAV and FLAC"):
        prepare(original, tmp_path, Options(**HELD_OUT))
    double.unlink()
    (recordings / "3_dora_5.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"3_dora_5\.wav"):
        prepare(original, tmp_path, Options(**HELD_OUT))
    with pytest.raises(CorpusError, match=r"fsdd cannot be downloaded.*--corpus DIR"):
        prepare(None, tmp_path, Options())
