"""Numbers of a result as short texts, the same on the terminal, in Markdown and on the page."""

from __future__ import annotations

from dataclasses import dataclass

from asr_kd.report.results import Measure, ResultRow, Results, WordErrors
from asr_kd.score.significance import MIN_UNITS, Difference, GainKept

NOT_MEANINGFUL = "n/m"
NONE = "-"
TOO_FEW = "too few utterances for an interval"

COLUMNS = (
    "system",
    "frame acc. %",
    "WER %",
    "S/D/I/N",
    "frame acc. gain kept",
    "WER gain kept",
    "params",
    "RTF",
)


@dataclass(frozen=True)
class Cell:
    """A table's cell: what counts, and in smaller print what belongs to it."""

    main: str
    detail: str = ""


def row_cells(row: ResultRow) -> list[Cell]:
    """Return one row's cells in the order of ``COLUMNS``."""
    return [
        Cell(row.system, _runs(row)),
        _measure_cell(row.frame_accuracy),
        _measure_cell(row.wer),
        _errors_cell(row.errors, row.num_runs),
        _gain_cell(row.frame_accuracy_gain),
        _gain_cell(row.wer_gain),
        Cell(NONE if row.num_parameters is None else parameters(row.num_parameters)),
        Cell(NONE if row.real_time_factor is None else f"{row.real_time_factor:.2g}"),
    ]


def _runs(row: ResultRow) -> str:
    if row.num_runs > 1:
        return f"mean of {row.num_runs}"
    return f"{len(row.seeds)} nets" if len(row.seeds) > 1 else ""


def _measure_cell(measure: Measure | None) -> Cell:
    if measure is None:
        return Cell(NONE)
    # Below one per cent a single decimal would hide what is being compared.
    decimals = 2 if measure.mean < 0.01 else 1
    main = f"{100 * measure.mean:.{decimals}f}"
    if measure.sd is not None:
        main += f" ±{100 * measure.sd:.2f}"
    if measure.interval is None:
        return Cell(main)
    return Cell(
        main, f"[{100 * measure.interval.low:.{decimals}f}, {100 * measure.interval.high:.{decimals}f}]"
    )


def _errors_cell(errors: WordErrors | None, num_runs: int) -> Cell:
    if errors is None:
        return Cell(NONE)
    counts = (errors.substitutions, errors.deletions, errors.insertions)
    return Cell(
        "/".join(_mean_count(count, num_runs) for count in counts),
        f"of {_mean_count(errors.num_reference_words, num_runs)}",
    )


def _mean_count(total: int, num_runs: int) -> str:
    mean = total / num_runs
    # A mean over seeds of a few errors needs its decimal, one of hundreds does not.
    return f"{mean:,.0f}" if total % num_runs == 0 or mean >= 10 else f"{mean:.1f}"


def _gain_cell(gain: GainKept | None) -> Cell:
    if gain is None:
        return Cell(NONE)
    if gain.value is None or gain.low is None or gain.high is None:
        return Cell(NOT_MEANINGFUL)
    return Cell(f"{100 * gain.value:.0f} %", f"[{100 * gain.low:.0f}, {100 * gain.high:.0f}]")


def parameters(count: int) -> str:
    """Return a number of parameters, to three digits."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if float(f"{count:.3g}") >= size:  # 999,700 is 1 M, not 1e+03 k
            return f"{count / size:.3g} {unit}"
    return str(count)


def points(gain: Difference) -> str:
    """Return a difference in percentage points with its interval."""
    if gain.low is None or gain.high is None:
        return f"{100 * gain.mean:z.2f} points, {TOO_FEW}"
    return f"{100 * gain.mean:z.2f} points [{100 * gain.low:z.2f}, {100 * gain.high:z.2f}]"


def findings(results: Results) -> list[str]:
    """Return, for every row that is compared with the baseline, what the numbers allow one to say."""
    sentences = []
    for row in results.rows:
        for name, gain in (("frame accuracy", row.frame_accuracy_gain), ("WER", row.wer_gain)):
            if gain is not None:
                sentences.append(f"{row.system} {row.split}, {name}: {_finding(gain)}")
    return sentences


def _finding(gain: GainKept) -> str:
    own = gain.student_gain
    verdict = {1: "better than", 0: "cannot be told from", -1: "worse than"}[own.told]
    text = f"{verdict} the baseline, a gain of {points(own)}"
    text += "; " if own.p_value is None else f", p = {own.p_value:.2g}; "
    if gain.value is None or gain.low is None or gain.high is None:
        return text + (
            f"share of the ensemble's gain not meaningful ({NOT_MEANINGFUL}): "
            f"that gain, {points(gain.ensemble_gain)}, "
            + ("is a loss" if gain.ensemble_gain.told < 0 else "cannot be told from none")
        )
    return text + (
        f"keeps {100 * gain.value:.1f} % [{100 * gain.low:.0f}, {100 * gain.high:.0f}] "
        f"of the ensemble's gain of {points(gain.ensemble_gain)}"
    )


def notes(results: Results) -> list[str]:
    """Return what a reader of the table has to know about its numbers."""
    measures = [
        measure for row in results.rows for measure in (row.frame_accuracy, row.wer) if measure is not None
    ]
    intervals = [measure.interval for measure in measures if measure.interval is not None]
    texts = []
    drawn = sorted({interval.resampled for interval in intervals} - {"words"})
    if drawn:
        texts.append(
            f"[ ] {100 * intervals[0].level:.0f} % interval, paired bootstrap over {' and '.join(drawn)}: "
            "it covers the choice of test audio, not of training seeds."
        )
    if len(intervals) < len(measures):
        texts.append(f"Where there is no interval, there are {TOO_FEW}: fewer than {MIN_UNITS}.")
    if any(measure.sd is not None for measure in measures):
        texts.append("± standard deviation over training seeds; S/D/I are means over them.")
    if any(interval.resampled == "words" for interval in intervals):
        texts.append(
            "Where no error was seen, the upper end is the exact binomial one for the number of words."
        )
    return texts


def facts(results: Results) -> list[tuple[str, str]]:
    """Return setup and data as label and text, without what is not known."""
    setup = results.setup
    pairs: list[tuple[str, str | None]] = [
        ("teachers", _text(setup.num_teachers, "{:d}")),
        ("averaging", setup.averaging),
        ("temperature", _text(setup.temperature, "{:g}")),
        ("soft weight", _text(setup.soft_weight, "{:g}")),
        ("hard weight", _text(setup.hard_weight, "{:g}")),
        ("posterior code", setup.posterior_code),
        ("posteriors", _text(setup.bytes_per_frame, "{:.1f} bytes a frame")),
        ("senones", _text(setup.num_senones, "{:,d}")),
        ("training frames", _text(setup.num_train_frames, "{:,d}")),
        ("utterances", ", ".join(f"{name} {n:,}" for name, n in setup.num_utterances.items()) or None),
        ("failed to align", _text(setup.alignment_failed_share, "{:.2%} of the utterances")),
        ("not in the training text", _text(setup.oov_share, "{:.2%} of the test words")),
    ]
    for surface in results.tuning:
        scale, penalty = surface.chosen
        pairs.append(
            (
                f"tuned on {surface.split}, {surface.system}",
                f"acoustic scale {scale:g}, word insertion penalty {penalty:g}",
            )
        )
    pairs += list(setup.extra.items())
    return [(label, text) for label, text in pairs if text is not None]


def _text(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)


def run_facts(results: Results) -> list[tuple[str, str]]:
    """Return what is needed to make the numbers again, as label and text."""
    run = results.provenance
    pairs: list[tuple[str, str | None]] = [
        ("command", run.command),
        ("recipe", f"{run.recipe}, profile {run.profile}"),
        ("seeds", ", ".join(f"{name} {seed}" for name, seed in run.seeds.items()) or None),
        ("commit", run.commit or "none (not run from a checkout)"),
        ("version", run.version),
        ("machine", run.machine),
        ("date", run.date),
        ("time", clock(sum(run.stage_seconds.values())) if run.stage_seconds else None),
        (
            "peak memory of a process",
            None if run.peak_memory_bytes is None else f"{run.peak_memory_bytes / 2**30:.2f} GiB",
        ),
    ]
    return [(label, text) for label, text in pairs if text is not None]


def clock(seconds: float) -> str:
    """Return a time as ``0:07`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(num_bytes: int) -> str:
    """Return a size on disk as ``310 kB`` or ``1.2 GB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, (len(str(num_bytes)) - 1) // 3)
    value = num_bytes / 1000**power
    return f"{value:.1f} {units[power]}" if value < 10 and power else f"{value:.0f} {units[power]}"


def seed_list(seeds: tuple[int, ...]) -> str:
    """Return seeds as ``0-4`` when they follow each other, else one by one."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds) or NONE
