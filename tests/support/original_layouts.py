"""Tiny corpora in the exact layouts of LibriSpeech, TIMIT and Common Voice, with noise for speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.support.kaldi_corpus import write_lines

# Two men and a woman of each dialect region, from the corpus's documentation (TESTSET.DOC).
TIMIT_CORE = {
    "DR1": "MDAB0 MWBT0 FELC0",
    "DR2": "MTAS1 MWEW0 FPAS0",
    "DR3": "MJMP0 MLNT0 FPKT0",
    "DR4": "MLLL0 MTLS0 FJLM0",
    "DR5": "MBPM0 MKLT0 FNLP0",
    "DR6": "MCMJ0 MJDH0 FMGD0",
    "DR7": "MGRT0 MNJM0 FDHC0",
    "DR8": "MJLN0 MPAM0 FMLD0",
}
TIMIT_PHONES = ["h#", "s", "ix", "q", "axr", "dcl", "d", "ao", "zh", "epi", "h#"]


def write_noise(path: Path, seconds: float = 0.4, rate: int = 16000, kind: str | None = None) -> Path:
    """Write noise in the format of the file's suffix or another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.05 * np.random.default_rng(len(path.name)).standard_normal(round(seconds * rate))
    soundfile.write(path, samples, rate, format=kind)
    return path


def make_mini_librispeech(folder: Path) -> Path:
    """Write ``LibriSpeech/{train-clean-5,dev-clean-2}`` and the lexicon; return ``LibriSpeech``."""
    root = folder / "LibriSpeech"
    texts = {"train-clean-5": {"1088": ["THE CAT", "A CAT"], "2136": ["THE HAT", "A QUUX"]}}
    texts["dev-clean-2"] = {"1272": ["A HAT", "THE CAT"], "6313": ["A CAT"]}
    for part, speakers in texts.items():
        for speaker, sentences in speakers.items():
            chapter = root / part / speaker / "134315"
            names = [f"{speaker}-134315-{number:04}" for number in range(len(sentences))]
            for name in names:
                write_noise(chapter / f"{name}.flac")
            lines = [f"{name} {text}" for name, text in zip(names, sentences, strict=True)]
            write_lines(chapter / f"{speaker}-134315.trans.txt", *lines)
    write_lines(
        root / "librispeech-lexicon.txt", "A AH0", "A EY1", "CAT K AE1 T", "HAT HH AE1 T", "THE DH AH0"
    )
    return root


def make_timit(folder: Path, *, small_letters: bool = False) -> Path:
    """Write one sentence of two train speakers, two dev speakers and the core speakers; return the folder."""
    speakers = {f"TEST/{region}": names.split() for region, names in TIMIT_CORE.items()}
    speakers |= {"TRAIN/DR1": ["FCJF0", "MCPM0"], "TEST/DR1 ": ["FAKS0", "MREB0"]}
    for place, names in speakers.items():
        for name in names:
            for sentence in ("SA1", "SX37") if name == "FCJF0" else ("SX37",):
                path = f"TIMIT/{place.strip()}/{name}/{sentence}"
                _timit_sentence(folder, path.lower() if small_letters else path, small_letters)
    return folder / ("timit" if small_letters else "TIMIT")


def _timit_sentence(folder: Path, name: str, small_letters: bool) -> None:
    def file(suffix: str) -> Path:
        return folder / f"{name}.{suffix.lower() if small_letters else suffix}"

    length = 600
    write_noise(file("WAV"), len(TIMIT_PHONES) * length / 16000, kind="NIST")
    times = [f"{k * length} {(k + 1) * length} {phone}" for k, phone in enumerate(TIMIT_PHONES)]
    write_lines(file("PHN"), *times)
    write_lines(file("WRD"), f"{length} {10 * length} seizure")
    write_lines(file("TXT"), f"0 {len(TIMIT_PHONES) * length} Seizure.")


def make_commonvoice(folder: Path) -> Path:
    """Write a release with the language cy; return the language's folder."""
    root = folder / "cv-corpus-13.0-2023-03-09" / "cy"
    columns = "client_id path sentence up_votes down_votes age gender accents variant locale segment"
    texts = {
        "train": ['"Bore da, byd!', "Mae’r tŷ'n goch."],
        "dev": ["Nos da."],
        "test": ["Byd goch?", "Ble mae'r tŷ?"],
    }
    for part, sentences in texts.items():
        lines = ["\t".join(columns.split())]
        for number, sentence in enumerate(sentences):
            clip = f"common_voice_cy_{part}{number}.mp3"
            write_noise(root / "clips" / clip, seconds=1.0, rate=32000)
            lines.append(f"{part}{number:064}\t{clip}\t{sentence}\t2\t0\t\t\t\t\tcy\t")
        write_lines(root / f"{part}.tsv", *lines)
    return root
