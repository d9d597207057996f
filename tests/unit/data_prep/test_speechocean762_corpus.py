"""speechocean762: both layouts, the dev cut, the lexicon and the shares of unknown words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.data.kaldi_dir import read_table
from asr_kd.data.manifest import read_manifest
from asr_kd.errors import ConfigError, CorpusError, LexiconError, ManifestError
from data_prep.lexicons import read_pronunciations
from data_prep.speechocean762 import Options, choose_dev_speakers, prepare

TEXTS = ["WE CALL IT", "CALL BEAR", "IT IS"]
LEXICON = [
    "WE\tW IY0",
    "CALL\tK AO0 L",
    "IT\tIH0 T",
    "IT\tIH1 T",
    "IS\tIH Z",
    "BEAR\tB EH0 R",
    "BEAR\tB EY1 R",
]


@pytest.fixture
def original(tmp_path: Path, make_wav: Callable[..., Path]) -> Path:
    """The corpus in small: WAV files in capitals, eight train speakers and two test speakers."""
    root = tmp_path / "corpus" / "speechocean762"
    for split, speakers in (("train", range(1, 9)), ("test", range(11, 13))):
        rows = [(f"{speaker:04}", f"{speaker:04}{k}", TEXTS[k]) for speaker in speakers for k in range(3)]
        tables = {
            "wav.scp": [f"{utt}\tWAVE/SPEAKER{speaker}/{utt}.WAV" for speaker, utt, _ in rows],
            "text": [f"{utt}\t{text}" for _, utt, text in rows],
            "utt2spk": [f"{utt} {speaker}" for speaker, utt, _ in rows],
            "spk2age": [f"{speaker:04}\t{8 if speaker % 2 else 30}" for speaker in speakers],
            "spk2gender": [f"{speaker:04}\t{'m' if speaker % 4 < 2 else 'f'}" for speaker in speakers],
        }
        (root / split).mkdir(parents=True)
        for name, lines in tables.items():
            (root / split / name).write_text("".join(f"{line}\n" for line in lines))
        for speaker, utt, _ in rows:
            make_wav(root / "WAVE" / f"SPEAKER{speaker}" / f"{utt}.WAV", seconds=0.05, rate=16000)
    (root / "resource").mkdir()
    (root / "resource" / "lexicon.txt").write_text("".join(f"{line}\n" for line in LEXICON))
    return root


def test_the_original_layout(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    prepared = prepare(original.parent, out, Options(dev_speakers=4))
    speakers = {split: {row.speaker for row in rows} for split, rows in prepared.splits.items()}
    assert [len(speakers[split]) for split in ("train", "dev", "test")] == [4, 4, 2]
    ages, genders = (read_table(original / "train" / name) for name in ("spk2age", "spk2gender"))
    assert len({(ages[speaker], genders[speaker]) for speaker in speakers["dev"]}) == 4  # one of each group
    row = read_manifest(out / "test.jsonl")[0]
    assert (row.utt_id, row.speaker, row.text, row.num_samples) == ("00110", "0011", "WE CALL IT", 800)
    assert row.audio == str(original / "WAVE" / "SPEAKER0011" / "00110.WAV")
    lines = (out / "lm_text.txt").read_text().splitlines()
    assert lines == TEXTS * 4
    assert "The official" not in prepared.summary["notes"][0]
    assert prepared.summary["notes"][1] == "24 of 2,500 utterances of the official train half are here."


def test_stress_is_stripped_on_demand_and_pronunciations_kept(original: Path, tmp_path: Path) -> None:
    path = original / "resource" / "lexicon.txt"
    stripped = read_pronunciations(path, strip_stress=True)
    assert stripped.count(("IT", ("IH", "T"))) == 1
    assert [phones for word, phones in stripped if word == "BEAR"] == [("B", "EH", "R"), ("B", "EY", "R")]
    kept = read_pronunciations(path, strip_stress=False)
    assert [phones for word, phones in kept if word == "IT"] == [("IH0", "T"), ("IH1", "T")]
    prepare(original, tmp_path, Options(dev_speakers=1))
    assert (tmp_path / "lexicon.txt").read_text().splitlines()[:2] == ["BEAR B EH R", "BEAR B EY R"]


def test_unknown_words_of_test_are_counted(original: Path, tmp_path: Path) -> None:
    text = original / "test" / "text"
    text.write_text(text.read_text().replace("00110\tWE CALL IT", "00110\tWE CALL ZEBRAS BEARING"))
    (original / "resource" / "lexicon.txt").write_text("\n".join([*LEXICON, "BEARING B EH R IH NG"]))
    oov = prepare(original, tmp_path, Options(dev_speakers=1)).summary["oov"]["test"]
    assert oov == {
        "words": 15,
        "share_not_in_train_text": round(2 / 15, 5),
        "share_not_in_lexicon": round(1 / 15, 5),
        "not_in_lexicon": ["ZEBRAS"],
    }


def test_the_shared_copy(shared_data: Path, tmp_path: Path) -> None:
    prepared = prepare(shared_data / "speechocean762", tmp_path, Options())
    counts = prepared.summary["splits"]
    assert {split: counts[split]["utterances"] for split in counts} == {
        "train": 2300,
        "dev": 200,
        "test": 400,
    }
    assert {split: counts[split]["speakers"] for split in counts} == {"train": 115, "dev": 10, "test": 20}
    assert prepared.summary["oov"]["test"]["words"] == 2560
    assert prepared.summary["oov"]["test"]["share_not_in_lexicon"] == 0.0
    assert 0.05 < prepared.summary["oov"]["test"]["share_not_in_train_text"] < 0.08
    assert len({phone for _, phones in prepared.lexicon for phone in phones}) == 39
    genders = read_table(shared_data / "speechocean762" / "train" / "spk2gender")
    assert sorted(genders[row] for row in {row.speaker for row in prepared.splits["dev"]}).count("f") == 5


def test_dev_speakers_are_in_proportion_and_do_not_depend_on_order() -> None:
    strata = {"a": [f"a{k}" for k in range(60)], "b": [f"b{k}" for k in range(30)], "c": ["c0", "c1"]}
    chosen = choose_dev_speakers(strata, 10)
    assert [sum(name[0] == group for name in chosen) for group in "abc"] == [7, 3, 0]  # 6.5, 3.3, 0.2
    backwards = {group: list(reversed(names)) for group, names in reversed(strata.items())}
    assert choose_dev_speakers(backwards, 10) == chosen
    assert choose_dev_speakers({"a": strata["a"][:59]}, 3) <= set(strata["a"])


def test_other_folders_and_lines_are_refused(original: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such corpus folder"):
        prepare(tmp_path / "nowhere", tmp_path, Options())
    with pytest.raises(
        CorpusError, match=r"the folder is not speechocean762; .*got no WAVE, resource/lexicon"
    ):
        prepare(tmp_path, tmp_path, Options())
    with pytest.raises(ConfigError, match="expected fewer than the 8 speakers of train, got 8"):
        prepare(original, tmp_path, Options(dev_speakers=8))
    with pytest.raises(CorpusError, match=r"speechocean762 cannot be downloaded.*--corpus DIR"):
        prepare(None, tmp_path, Options())
    (original / "resource" / "lexicon.txt").write_text("WE W IY0\n\nCALL\n")
    with pytest.raises(LexiconError, match=r'lexicon\.txt:3: "CALL" has no phones'):
        prepare(original, tmp_path, Options(dev_speakers=1))
    (original / "train" / "spk2age").write_text("0001\t8\n")
    with pytest.raises(ManifestError, match=r"has no age or gender"):
        prepare(original, tmp_path, Options(dev_speakers=1))
    (original / "test" / "wav.scp").unlink()
    with pytest.raises(CorpusError, match=r"got no test/wav\.scp"):
        prepare(original, tmp_path, Options(dev_speakers=1))
