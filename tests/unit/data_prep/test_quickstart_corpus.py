"""The synthesised corpus: reproducible, no voice in two splits, and phones where they are heard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from asr_kd.data.audio import load_audio
from asr_kd.data.manifest import read_manifest
from asr_kd.errors import ConfigError, CorpusError
from data_prep.common import PreparedCorpus
from data_prep.espeak import Synthesiser
from data_prep.quickstart import Options, make_spec, prepare, split_voices
from data_prep.quickstart_sentences import draw_sentences, vocabulary
from data_prep.synthesis import Prompt, SpokenPhones, SynthesisSpec, read_phones, synthesise

pytest.importorskip("espeakng_loader", reason="the synthesiser is not installed")
SMALL = Options(num_train=80, num_dev=12, num_test=20)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    return prepare(None, tmp_path_factory.mktemp("quickstart"), SMALL)


def test_no_voice_is_in_two_splits_and_at_least_40_differ(corpus: PreparedCorpus) -> None:
    voices = split_voices()
    assert {split: len(rows) for split, rows in voices.items()} == {"train": 40, "dev": 6, "test": 10}
    variants = [voice.variant for rows in voices.values() for voice in rows]
    assert len(variants) == len(set(variants)) == 56
    assert {voice.accent for voice in voices["test"]} <= {voice.accent for voice in voices["train"]}
    for split, rows in corpus.splits.items():
        assert {row.speaker for row in rows} == {voice.name for voice in voices[split]}


def test_the_manifest_is_what_was_written(corpus: PreparedCorpus) -> None:
    rows = read_manifest(corpus.folder / "test.jsonl")
    assert len(rows) == 20
    for row in rows:
        audio = load_audio(row.audio)
        assert (audio.num_samples, audio.sampling_rate) == (row.num_samples, 16000)
        assert 0.5 < row.duration < 6.0
        assert set(row.text.lower().split()) <= vocabulary()


def test_audio_neither_clips_nor_whispers(corpus: PreparedCorpus) -> None:
    for row in corpus.splits["train"]:
        samples = load_audio(corpus.folder / row.audio).samples.astype(float)
        assert 0.02 < np.abs(samples).max() < 0.98
        assert -38 < 20 * np.log10(np.sqrt(np.mean(samples**2))) < -18
        assert np.count_nonzero(samples[:400]) > 20  # noise, not digital silence


def test_speed_pitch_and_noise_vary(corpus: PreparedCorpus) -> None:
    spec, _ = make_spec("train", SMALL.num_train, split_voices()["train"], SMALL)
    assert len({prompt.rate for prompt in spec.prompts}) > 30
    assert len({prompt.pitch for prompt in spec.prompts}) > 20
    assert {prompt.noise for prompt in spec.prompts} == {"white", "pink", "babble"}
    assert {prompt.snr_db for prompt in spec.prompts} == set(SMALL.snr_db)


def test_true_phones_fit_manifest_text_and_lexicon(corpus: PreparedCorpus) -> None:
    rows = {row.utt_id: row for part in corpus.splits.values() for row in part}
    spoken = read_phones(corpus.folder / "phones.jsonl")
    assert [row.utt_id for row in spoken] == [*rows]
    lexicon = set(corpus.lexicon)
    for phones in spoken:
        row = rows[phones.utt_id]
        assert " ".join(word.word for word in phones.words) == row.text
        assert phones.segments[0].start_sample == 0
        assert phones.segments[-1].end_sample == row.num_samples
        for before, after in zip(phones.segments, phones.segments[1:], strict=False):
            assert before.end_sample == after.start_sample
            assert before.start_sample < before.end_sample
        indexes = [
            k for word in phones.words for k in range(word.first_phone, word.first_phone + word.num_phones)
        ]
        spoken_indexes = [k for k, part in enumerate(phones.segments) if part.phone != "SIL"]
        assert indexes == spoken_indexes
        if row.utt_id.startswith("train"):
            assert set(phones.pronunciations()) <= lexicon
    assert {word for word, _ in lexicon} == {word.upper() for word in vocabulary()}


def test_a_fresh_process_gives_the_same_bytes(tmp_path: Path) -> None:
    prompts = [
        Prompt(f"u{k}", "set a timer for ten minutes", "gmw/en", variant, noise=noise, seed=k)
        for k, (variant, noise) in enumerate([("f2", "white"), ("Alicia", "babble"), ("victor", "pink")])
    ]
    spec = SynthesisSpec(prompts, talkers=[Prompt("t", "play the music", "gmw/en", "f5")])
    for name in ("a", "b"):
        synthesise(spec, tmp_path / name)
    files = [sorted((tmp_path / name).iterdir()) for name in ("a", "b")]
    assert [path.name for path in files[0]] == ["phones.jsonl", "u0.flac", "u1.flac", "u2.flac"]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@pytest.fixture(scope="module")
def all_voices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SpokenPhones]]:
    """One sentence that begins with S in all voices, with hardly any noise."""
    folder = tmp_path_factory.mktemp("voices")
    variants = [voice.variant for rows in split_voices().values() for voice in rows]
    prompts = [
        Prompt(variant, "set the alarm for seven", "gmw/en-US", variant, snr_db=60.0) for variant in variants
    ]
    return folder, synthesise(SynthesisSpec(prompts), folder)


def test_all_voices_sound_different(all_voices: tuple[Path, list[SpokenPhones]]) -> None:
    folder, spoken = all_voices
    spectra = np.stack([long_term_spectrum(folder / f"{row.utt_id}.flac") for row in spoken])
    distance = np.sqrt(np.mean((spectra[:, None] - spectra[None]) ** 2, axis=2))  # dB
    distance[np.diag_indices(len(spoken))] = np.inf
    assert distance.min() > 1.0
    assert np.median(distance.min(axis=1)) > 2.5


def test_an_s_is_heard_where_the_true_phones_say(all_voices: tuple[Path, list[SpokenPhones]]) -> None:
    folder, spoken = all_voices
    errors = []
    for row in spoken:
        assert row.segments[1].phone == "S"
        samples = load_audio(folder / f"{row.utt_id}.flac").samples[: row.segments[2].start_sample]
        frames = np.lib.stride_tricks.sliding_window_view(samples, 64)[::16]  # every 1 ms
        power = (np.abs(np.fft.rfft(frames * np.hanning(64))) ** 2)[:, 16:].sum(axis=1)  # above 4 kHz
        onset = (16 * np.argmax(power > 0.05 * power.max()) + 32) / 16
        errors.append(onset - row.segments[1].start_sample / 16)
    assert np.median(np.abs(errors)) < 4.0, errors  # ms
    assert np.percentile(np.abs(errors), 90) < 12.0, errors


def long_term_spectrum(path: Path) -> np.ndarray:
    """Mean power in 32 bands, in dB, level removed."""
    frames = np.lib.stride_tricks.sliding_window_view(load_audio(path).samples, 512)[::128]
    power = (
        (np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2).mean(axis=0)[1:257].reshape(64, 4).mean(axis=1)
    )
    decibels = 10 * np.log10(power[:32])
    return decibels - decibels.mean()


def test_sentences_cover_the_vocabulary_and_both_kinds() -> None:
    sentences = draw_sentences(60, np.random.default_rng(3), 0.5)
    assert len(sentences) == 60
    assert {word for sentence in sentences for word in sentence.split()} == vocabulary()
    only_digits = draw_sentences(400, np.random.default_rng(3), 1.0)
    commands = sum("the" in sentence.split() or "timer" in sentence for sentence in only_digits)
    assert commands < 60
    assert 50 <= len(vocabulary()) <= 70


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="quickstart synthesises its own speech; leave out --corpus"):
        prepare(tmp_path, tmp_path, Options())
    with pytest.raises(ConfigError, match="min_rate is above max_rate"):
        prepare(None, tmp_path, Options(min_rate=200, max_rate=100))
    with pytest.raises(ValidationError):
        Options(num_train=5)
    with pytest.raises(CorpusError, match="the speech synthesis failed"):
        synthesise(SynthesisSpec([Prompt("u", "a", "gmw/en-XX", "f1")]), tmp_path / "out")


def test_the_process_says_what_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CorpusError, match="exit status 1"):
        synthesise(SynthesisSpec([Prompt("u", "for one", "gmw/en-US", "f1")]), tmp_path)
    assert '"one" is spoken together with the word before it' in capfd.readouterr().err


def test_no_voice_is_refused_by_name() -> None:
    with pytest.raises(CorpusError, match='no voice "gmw/xx"'):
        Synthesiser().speak("a", "gmw/xx", rate=160, pitch=50, pitch_range=50, seed=0)


def test_the_summary_states_voices_and_noise(corpus: PreparedCorpus) -> None:
    summary = json.loads((corpus.folder / "corpus.json").read_text())
    assert summary["splits"]["train"]["speakers"] == 40
    assert summary["notes"][0].startswith("56 voices, none in two splits")
    assert summary["notes"][1] == "Noise (white, pink, babble) at 30, 20, 15, 10 dB SNR."
    assert summary["oov"]["test"]["share_not_in_lexicon"] == 0.0
