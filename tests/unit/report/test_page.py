"""The page: complete, self-contained, escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from asr_kd.report.page import report_page, write_page
from asr_kd.score.wer import score

_VOID = {"meta", "br", "img", "link", "hr"}


class _Reader(HTMLParser):
    """Collects text, references and tags; checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        self.references += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset", "data"}
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_holds_numbers_plots_and_provenance(run: Any) -> None:
    reader = _Reader(report_page(run.results, run.words, run.speakers))
    assert reader.open == []
    assert reader.tags.count("svg") == 9
    assert reader.tags.count("article") == 25
    for text in ("60.8", "86 %", "75 %", "%WER 4.5 [ 45 / 1000, 0 ins, 0 del, 45 sub ] student test"):
        assert text in reader.text
    for text in ("asr-kd run quickstart --profile smoke", "0123456789abcdef", "2 cores, 8 GiB", "1:01:01"):
        assert text in reader.text
    for text in ("temperature", "5.70% of the test words", "beam", "45 of 100 utterances have errors"):
        assert text in reader.text
    for text in ("student: ECE 10.0 points", "IH as IY", "310 kB", "1.2 GB"):
        assert text in reader.text
    assert "Z as S" not in reader.text  # That is dev's.


def test_page_needs_nothing_from_outside(run: Any) -> None:
    page = report_page(run.results, run.words, run.speakers)
    reader = _Reader(page)
    assert reader.references  # SVG markers refer to each other
    assert all(reference.startswith("#") for reference in reader.references)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_page_without_scores_or_rates(run: Any) -> None:
    bare = run.results.model_copy(
        update=dict.fromkeys(
            ("rows", "tuning", "curves", "calibration", "confusions", "agreement", "teacher_gain"), ()
        )
    )
    reader = _Reader(report_page(bare))
    assert reader.open == []
    assert "svg" not in reader.tags


def test_everything_from_outside_is_escaped(run: Any, tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    student = run.results.rows[-1].model_copy(update={"system": evil, "split": evil})
    results = run.results.model_copy(
        update={
            "provenance": run.results.provenance.model_copy(
                update={"recipe": evil, "profile": evil, "command": evil, "machine": evil, "date": evil}
            ),
            "setup": run.results.setup.model_copy(update={"extra": {evil: evil}, "posterior_code": evil}),
            "rows": (*run.results.rows[:-1], student),
            "tuning": (run.results.tuning[0].model_copy(update={"system": evil, "split": evil}),),
            "curves": (run.results.curves[0].model_copy(update={"system": evil}),),
            "calibration": (run.results.calibration[0].model_copy(update={"system": evil, "split": evil}),),
            "agreement": (run.results.agreement[0].model_copy(update={"split": evil, "nets": (evil, evil)}),),
            "teacher_gain": (run.results.teacher_gain[0].model_copy(update={"split": evil}),),
            "confusions": (
                run.results.confusions[0].model_copy(
                    update={"aligned": evil, "found": evil, "split": evil, "share": {evil: 0.1}}
                ),
            ),
        }
    )
    words = {evil: score({evil: evil, "&amp;": "a"}, {evil: "b </style>", "&amp;": "\"'>"})}
    page = report_page(results, words, {evil: evil, "&amp;": evil}, split=evil)
    assert "<script" not in page
    assert page.count("</style>") == 1 + page.count("<defs>\n  <style")
    reader = _Reader(page)
    assert reader.text.count(evil) > 10
    assert "&amp;" in reader.text
    write_page(tmp_path / "report.html", page)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_alignment_marks_each_kind_of_error(run: Any) -> None:
    words = {"student": score({"u": "a b c d e f"}, {"u": "a x c e f g"})}
    page = report_page(run.results, words)
    assert '<span class="pair S"><span>b</span><span>x</span><span>S</span></span>' in page
    assert '<span class="pair D"><span>d</span><span>***</span><span>D</span></span>' in page
    assert '<span class="pair I"><span>***</span><span>g</span><span>I</span></span>' in page
    assert '<span class="pair "><span>a</span><span>a</span><span>&nbsp;</span></span>' in page
