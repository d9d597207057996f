"""All ten stages on audio that the tests make, through the command line as a user would run it."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.am.checkpoint import load_model
from asr_kd.report.results import read_results
from asr_kd.score.text_files import read_text_file
from tests.support.tone_corpus import RATE, WORDS, speak, speak_timed
from tests.support.tones import tones_recipe

REPOSITORY = Path(__file__).resolve().parents[2]
LAST_LINE = re.compile(r"^%WER \d+\.\d \[ \d+ / \d+, \d+ ins, \d+ del, \d+ sub \] student test$")


def asr_kd(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-c", "from asr_kd.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones_recipe(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def finished(recipe: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A work folder with all stages done, and what the run printed."""
    work = recipe / "work"
    return work, asr_kd("run", recipe, "--work", work)


def test_prints_the_table_and_the_line(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = finished
    lines = done.stdout.rstrip().splitlines()
    assert LAST_LINE.match(lines[-1]), lines[-1]
    for system in ("gmm", "baseline", "control", "ensemble", "student"):
        assert any(line.startswith(system) for line in lines)
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(r"baseline: acoustic scale .* dev utterances, 2 seeds", done.stderr)


def test_recognises_the_tones(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    results = read_results(finished[0] / "results.json")
    for system in ("gmm", "baseline", "control", "ensemble", "student"):
        row = results.row(system, "test")
        assert row.wer is not None
        assert row.frame_accuracy is not None
        assert row.errors is not None
        assert row.wer.mean < 0.1, f"{system} {row.wer.mean}"
        assert row.frame_accuracy.mean > 0.6
        assert row.errors.num_reference_words > 50
    assert results.row("baseline", "test").num_runs == 2


def test_tells_where_the_teachers_differ(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    dev, test = read_results(finished[0] / "results.json").agreement
    assert (dev.split, test.split) == ("dev", "test")
    assert test.nets == ("teacher-01", "teacher-02")
    assert 0 < test.same[0][1] < 1
    assert sum(test.by_right) == pytest.approx(1)
    # Both nets are right, or one alone is: only where they differ.
    assert test.by_right[1] <= 1 - test.same[0][1] + 1e-9
    assert "number of nets that are right" in (finished[0] / "report.html").read_text(encoding="utf-8")


def test_every_stage_leaves_its_outputs(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    work, _ = finished
    for name in (
        "corpus/train.jsonl",
        "align/hmm.json",
        "models/teacher-02/model.safetensors",
        "shards/header.json",
        "models/student-01/model.json",
        "graph/HCLG.fst",
        "graph/lm.arpa",
        "decode/ensemble/test.txt",
        "score/student/student-01-test.txt",
        "results.json",
        "RESULTS.md",
        "report.html",
    ):
        assert (work / name).exists(), name


def test_second_run_skips_everything(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    work, first = finished
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    again = asr_kd("run", recipe, "--work", work)
    assert again.stderr.count("done before, skipped") == 10
    assert again.stdout == first.stdout
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert [path.name for path in changed] == ["run.json"]


def test_stages_shows_state_and_time(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    shown = asr_kd("stages", recipe, "--work", finished[0], "--set", "ensemble.temperature=4").stdout
    assert re.search(r"teachers +│ done +│ +\d", shown)
    assert "stale" in shown


def test_stale_stage_is_refused_by_name(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    work, _ = finished
    header = (work / "shards" / "header.json").read_bytes()
    done = asr_kd("run", recipe, "--work", work, "--set", "ensemble.temperature=4", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "ensemble.temperature was 2.0, is 4.0" in done.stderr
    assert "--from-stage ensemble --force" in done.stderr
    assert (work / "shards" / "header.json").read_bytes() == header


def test_student_trained_elsewhere_from_shards_alone_is_the_same(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    work, _ = finished
    shutil.copytree(work / "shards", tmp_path / "shards")
    asr_kd("train-student", tmp_path / "shards", "--recipe", recipe, "--out", tmp_path / "student")
    here = load_model(work / "models" / "student-01")
    there = load_model(tmp_path / "student")
    assert there.fingerprint == here.fingerprint


def test_shards_of_another_temperature_are_refused(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = asr_kd(
        "train-student",
        finished[0] / "shards",
        "--recipe",
        recipe,
        "--out",
        tmp_path / "student",
        "--set",
        "student.temperature=3.5",
        check=False,
    )
    assert done.returncode == 1
    assert "temperature" in done.stderr
    assert not (tmp_path / "student").exists()


def test_evaluates_and_transcribes_held_out_audio(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    work, _ = finished
    random = np.random.default_rng(9)
    for number, words in enumerate((["alba", "cado"], ["dora", "boca", "alba"])):
        samples = speak(words, 1.01, random)
        # Stereo at another rate: the recogniser mixes and resamples.
        stereo = np.repeat(np.repeat(samples, 2)[:, None], 2, axis=1)
        soundfile.write(tmp_path / f"take{number}.wav", stereo, 2 * RATE)
        (tmp_path / f"take{number}.txt").write_text(" ".join(words) + "\n")
    done = asr_kd("evaluate", work, tmp_path)
    last = done.stdout.rstrip().splitlines()[-1]
    assert re.match(rf"^%WER \d+\.\d \[ \d+ / 5, .*\] student {tmp_path.name}$", last)
    errors = int(re.findall(r"\[ (\d+) /", last)[0])
    assert errors <= 1
    text = asr_kd("transcribe", work / "recognisers" / "student", tmp_path / "take1.wav").stdout
    assert set(text.split()) <= {"alba", "boca", "cado", "dora"}
    assert len(text.split()) in {2, 3, 4}


@pytest.fixture(scope="module")
def takes(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Path, tuple[list[str], list[tuple[float, float]]]]:
    """Recordings, what is said in them and when."""
    folder = tmp_path_factory.mktemp("takes")
    found = {}
    for number, words in enumerate((["alba", "cado", "boca"], ["dora", "dora", "alba", "boca"])):
        samples, times = speak_timed(words, 1.0, np.random.default_rng(number))
        soundfile.write(folder / f"take{number}.wav", samples, RATE)
        found[folder / f"take{number}.wav"] = words, times
    return found


Takes = dict[Path, tuple[list[str], list[tuple[float, float]]]]


def test_nbest_with_costs_and_confidences(
    finished: tuple[Path, subprocess.CompletedProcess[str]], takes: Takes
) -> None:
    plain = asr_kd("transcribe", finished[0], *takes).stdout.splitlines()
    lines = asr_kd("transcribe", finished[0], *takes, "--nbest", 5, "--json").stdout.splitlines()
    for path, best in zip(takes, plain, strict=True):
        entries = [entry for entry in map(json.loads, lines) if entry["audio"] == str(path)]
        assert 2 <= len(entries) <= 5
        assert f"{path}: {entries[0]['text']}" == best
        assert [entry["rank"] for entry in entries] == list(range(1, len(entries) + 1))
        costs = [entry["cost"] for entry in entries]
        assert costs == sorted(costs)
        assert len({entry["text"] for entry in entries}) == len(entries)
        assert len(entries[0]["confidences"]) == len(entries[0]["text"].split())
        assert all(0 < share <= 1 for share in entries[0]["confidences"])
        # A model of order 1: the cost of a sentence is the sum of its words' and of its end's.
        assert all(entry["lm_cost"] > 0 for entry in entries)
    text = asr_kd("transcribe", finished[0], next(iter(takes)), "--nbest", 2).stdout.splitlines()
    assert re.match(r"^1\t-?\d+\.\d{3}\t\w+", text[0])


def test_word_times_are_those_of_the_tones(
    finished: tuple[Path, subprocess.CompletedProcess[str]], takes: Takes, tmp_path: Path
) -> None:
    asr_kd("transcribe", finished[0], *takes, "--ctm", tmp_path / "out.ctm")
    rows = [line.split() for line in (tmp_path / "out.ctm").read_text().splitlines()]
    scorable = read_text_file(tmp_path / "out.ctm")
    num_right = 0
    for path, (words, times) in takes.items():
        found = [row for row in rows if row[0] == path.stem]
        assert scorable.get(path.stem, "").split() == [row[4] for row in found]
        if [row[4] for row in found] != words:
            continue
        num_right += 1
        for (_, channel, start, duration, _, confidence), (begin, end) in zip(found, times, strict=True):
            assert channel == "1"
            assert abs(float(start) - begin) < 0.05
            assert abs(float(start) + float(duration) - end) < 0.05
            assert 0 < float(confidence) <= 1
    assert num_right > 0


def test_rescoring_with_the_same_model_changes_nothing_and_with_another_one_does(
    finished: tuple[Path, subprocess.CompletedProcess[str]], takes: Takes, tmp_path: Path
) -> None:
    path = next(iter(takes))

    def best(*options: object) -> dict[str, object]:
        line = asr_kd("transcribe", finished[0], path, "--json", *options).stdout.splitlines()[0]
        return dict(json.loads(line))

    plain = best()
    same = best("--rescore", finished[0] / "graph" / "lm.arpa")
    assert same["text"] == plain["text"]
    assert same["cost"] == pytest.approx(plain["cost"], abs=1e-3)
    # Each word costs ln 10 / 2 and the end ln 10, whatever the sentence.
    entries = [f"-0.5\t{word}" for word in WORDS]
    lines = ["\\data\\", f"ngram 1={len(WORDS) + 2}", "", "\\1-grams:", "-1\t</s>", "-99\t<s>", *entries]
    (tmp_path / "flat.arpa").write_text("\n".join([*lines, "", "\\end\\", ""]))
    listed = asr_kd("transcribe", finished[0], path, "--json", "--nbest", 300).stdout.splitlines()
    without_lm = {entry["text"]: entry["cost"] - entry["lm_cost"] for entry in map(json.loads, listed)}
    other = best("--rescore", tmp_path / "flat.arpa")
    lm_cost = math.log(10) * (0.5 * len(str(other["text"]).split()) + 1)
    assert other["lm_cost"] == pytest.approx(lm_cost, abs=1e-3)
    assert other["cost"] == pytest.approx(without_lm[str(other["text"])] + lm_cost, abs=0.01)
    (tmp_path / "flat.arpa").write_text("\n".join(lines))
    broken = asr_kd("transcribe", finished[0], path, "--rescore", tmp_path / "flat.arpa", check=False)
    assert broken.returncode == 1
    assert re.search(r"flat.arpa:\d+: the language model does not end", broken.stderr.splitlines()[-1])


def test_stream_prints_partial_results_and_latency(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path, words = tmp_path / "long.wav", ["alba", "cado", "boca", "dora"] * 2
    soundfile.write(path, speak(words, 1.0, np.random.default_rng(5)), RATE)
    done = asr_kd("transcribe", finished[0], path, "--stream")
    *partial, last = done.stdout.splitlines()
    times = [float(re.match(r"^ *(\d+\.\d\d) s  ", line)[1]) for line in partial]
    assert times == sorted(times)
    assert len(partial) >= 2
    assert partial[-1].split(" s ")[1].split() == last.split()
    assert set(last.split()) <= set(WORDS)
    assert abs(len(last.split()) - len(words)) <= 2
    assert re.search(r"latency of words -?\d\.\d\d s on average, .* at most; real-time factor", done.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stream", "--nbest", "3"], "--stream goes with none of --nbest"),
        (["--nbest", "3", "--jobs", "2"], "decoded in one process; got --jobs 2"),
        (["--rescore", "none.arpa"], "none.arpa: no such language model"),
    ],
)
def test_wrong_options_are_one_line(
    finished: tuple[Path, subprocess.CompletedProcess[str]], takes: Takes, options: list[str], message: str
) -> None:
    done = asr_kd("transcribe", finished[0], next(iter(takes)), *options, check=False)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_recogniser_folder_can_be_moved(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished[0] / "recognisers" / "ensemble", moved)
    soundfile.write(tmp_path / "a.flac", speak(["boca", "dora"], 1.0, np.random.default_rng(3)), RATE)
    assert asr_kd("transcribe", moved, tmp_path / "a.flac").stdout.strip()


def test_broken_audio_is_one_line_and_leaves_finished_work(
    recipe: Path, finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    asr_kd("run", recipe, "--work", work, "--to-stage", "prepare")
    victim = work / "corpus" / "audio" / "s3-05.flac"
    victim.write_bytes(victim.read_bytes()[:300])
    done = asr_kd("run", recipe, "--work", work, "--to-stage", "align", check=False)
    assert done.returncode == 1
    assert "s3-05" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert json.loads((work / "stages" / "prepare.json").read_text())["stage"] == "prepare"
    assert not (work / "stages" / "features.json").exists()
