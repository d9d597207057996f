"""Reading, resampling and writing audio, and every kind of damaged file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.data.audio import audio_info, load_audio, load_utterance, resample, write_audio
from asr_kd.data.manifest import Utterance
from asr_kd.errors import AudioError


def tone(frequency: float, rate: int, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(
        np.float32
    )


def utterance(path: Path, **changes: int) -> Utterance:
    row = {"num_samples": 8000, "sampling_rate": 8000, **changes}
    return Utterance(utt_id="u1", speaker="s1", audio=str(path), text="A", **row)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_16", 1e-4),
        ("wav", "FLOAT", 1e-7),
        ("flac", "PCM_16", 1e-4),
        ("ogg", "VORBIS", 0.05),
        ("mp3", "MPEG_LAYER_III", 0.05),
    ],
)
def test_channels_become_their_mean_in_every_format(
    tmp_path: Path, suffix: str, subtype: str, tolerance: float
) -> None:
    left = tone(440, 44100, 0.5)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(
        path, np.stack([left, 0.5 * left, np.zeros_like(left)][:2], axis=1), 44100, subtype=subtype
    )
    audio = load_audio(path)
    assert audio_info(path) == (22050, 44100, 2)
    assert (audio.num_samples, audio.sampling_rate, audio.samples.dtype) == (22050, 44100, np.float32)
    assert np.abs(audio.samples - 0.75 * left)[1000:-1000].max() < tolerance
    assert load_audio(path.read_bytes()).samples.tobytes() == audio.samples.tobytes()


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")],
)
def test_a_segment_is_the_same_as_the_slice_of_the_whole(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = 0.1 * np.random.default_rng(0).standard_normal(20000)
    soundfile.write(path, noise, 16000, subtype=subtype)
    whole = load_audio(path).samples
    np.testing.assert_array_equal(load_audio(path, 7001, 3000).samples, whole[7001:10001])
    np.testing.assert_array_equal(load_audio(path, 19000).samples, whole[19000:])


@pytest.mark.parametrize(("start", "num_samples"), [(0, 8001), (7999, 2), (8000, None), (-1, 5), (10, 0)])
def test_a_span_outside_the_file_is_refused(tmp_path: Path, start: int, num_samples: int | None) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(300, 8000, 1.0), 8000)
    with pytest.raises(AudioError, match=r"a\.wav: audio is shorter than the span to read.*got 8000 samples"):
        load_audio(path, start, num_samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_a_cut_file_is_refused_and_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(160000), 16000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(AudioError, match=rf'cut\.{suffix} \(utterance "u7"\): ') as caught:
        load_audio(path, utt_id="u7")
    assert any(word in str(caught.value) for word in ("truncated", "damaged"))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(size: int) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(300, 8000, 1.0), 8000, format="WAV", subtype="PCM_16")
    raw = bytearray(buffer.getvalue())
    raw[4:8] = raw[40:44] = struct.pack("<I", size)
    assert load_audio(bytes(raw)).num_samples == 8000


def test_a_flac_that_does_not_state_its_length_is_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(300, 8000, 1.0), 8000, format="FLAC")
    raw = bytearray(buffer.getvalue())
    raw[21] &= 0xF0  # STREAMINFO: the lowest 36 bits of bytes 18 to 25 are the number of samples
    raw[22:26] = bytes(4)
    with pytest.raises(AudioError, match="does not state the audio's length"):
        load_audio(bytes(raw))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused_with_their_place(tmp_path: Path, value: float) -> None:
    samples = tone(300, 8000, 1.0)
    samples[4321] = value
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav.*NaN or infinite; got the first at sample 4321"):
        load_audio(path)


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio at all, but a long enough text")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    cases = {
        tmp_path / "missing.wav": "no such audio file",
        tmp_path: "is a folder",
        tmp_path / "empty.wav": "zero bytes long",
        tmp_path / "text.wav": r"not readable as audio .*expected a file of wav, flac, ogg or mp3",
        tmp_path / "none.wav": "has no samples",
    }
    for path, message in cases.items():
        with pytest.raises(AudioError, match=message):
            load_audio(path)
    with pytest.raises(AudioError, match="not a local file"):
        load_audio("http://host/a.wav")
    with pytest.raises(AudioError, match="zero bytes long"):
        load_audio(b"")


def test_silence_is_audio(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(100), 8000)
    assert load_audio(path).samples.tolist() == [0.0] * 100


def test_load_utterance_checks_rate_and_length(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    write_audio(path, tone(300, 8000, 1.0), 8000)
    assert load_utterance(utterance(path)).duration == 1.0
    segment = load_utterance(utterance(path, start_sample=2000, num_samples=500))
    np.testing.assert_array_equal(segment.samples, load_audio(path).samples[2000:2500])
    with pytest.raises(AudioError, match=r'"u1".*not the manifest.s; expected 16000 Hz, got 8000 Hz'):
        load_utterance(utterance(path, sampling_rate=16000))
    with pytest.raises(
        AudioError, match=r'"u1".*shorter than the manifest says; expected 8001 samples, got 8000'
    ):
        load_utterance(utterance(path, num_samples=8001))
    with pytest.raises(AudioError, match="shorter than the manifest says; expected 8100"):
        load_utterance(utterance(path, start_sample=100))


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44100, 16000), (8000, 16000), (22050, 8000), (48000, 16000)]
)
def test_resampling_keeps_a_tone(from_rate: int, to_rate: int) -> None:
    out = resample(tone(440, from_rate, 1.0), from_rate, to_rate)
    assert out.dtype == np.float32
    assert len(out) == to_rate
    assert np.abs(out - tone(440, to_rate, 1.0))[200:-200].max() < 2e-3
    assert resample(tone(440, from_rate, 1.0), from_rate, to_rate).tobytes() == out.tobytes()


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    out = resample(tone(6000, 16000, 1.0), 16000, 8000)
    assert np.abs(out[200:-200]).max() < 0.01


def test_resampling_to_the_same_rate_changes_nothing_and_odd_rates_are_refused() -> None:
    samples = tone(440, 8000, 0.1)
    assert resample(samples, 8000, 8000).tobytes() == samples.tobytes()
    with pytest.raises(AudioError, match="cannot resample from 16001 Hz"):
        resample(samples, 16001, 16000)
    with pytest.raises(AudioError, match="above 0"):
        resample(samples, 0, 16000)


def test_written_audio_is_exact_and_the_same_bytes(tmp_path: Path) -> None:
    samples = np.array([0.0, 0.25, -1.0, 1.0, 1 / 32768, 0.4 / 32768, 0.6 / 32768])
    write_audio(tmp_path / "a.flac", samples, 16000)
    write_audio(tmp_path / "b.flac", samples, 16000)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    steps = load_audio(tmp_path / "a.flac").samples * 32768
    assert steps.tolist() == [0, 8192, -32768, 32767, 1, 0, 1]
    info = soundfile.info(tmp_path / "a.flac")
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_16", 16000)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.0, 1.01]), "would clip; expected samples from -1 to 1, got 1.010"),
        (np.array([0.0, np.nan]), "no mono finite samples"),
        (np.zeros(0), "no mono finite samples"),
        (np.zeros((5, 2)), "no mono finite samples"),
    ],
)
def test_samples_that_a_file_cannot_hold_are_refused(
    tmp_path: Path, samples: np.ndarray, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        write_audio(tmp_path / "a.flac", samples, 8000)
    assert not (tmp_path / "a.flac").exists()
