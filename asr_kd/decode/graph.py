"""The decoding graph HCLG: building, storing and word insertion penalties."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np

from asr_kd.atomic import atomic_dir, write_json, write_text
from asr_kd.decode.fst_arrays import from_arrays, to_arrays
from asr_kd.decode.grammar_fst import grammar_fst
from asr_kd.decode.hmm_fst import expand_alone, expand_in_context
from asr_kd.decode.lexicon_fst import lexicon_fst
from asr_kd.errors import GraphError
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.lang.hmm import Hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import NgramModel

_FST_FILE = "HCLG.fst"
_WORDS_FILE = "words.txt"
_HEADER_FILE = "graph.json"
# Goes into the fingerprint: raise it when the same inputs give another graph.
_FORMAT_VERSION = 2
_NUM_SHOWN = 5


@dataclass(frozen=True)
class GraphConfig:
    """Settings of the graph that are not in its inputs.

    Args:
        silence_probability: Of silence at the start and after each word; 0 leaves silence out.
        transition_scale: Factor on the costs of HMM transitions (Kaldi's self-loop-scale), of the size of the
            acoustic scale: beside scaled-down log-likelihoods full transition costs keep a path in silence.
    """

    silence_probability: float = 0.5
    transition_scale: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.silence_probability < 1:
            raise GraphError(
                "silence_probability out of range",
                expected="0 or more, below 1",
                got=self.silence_probability,
            )
        if self.transition_scale < 0:
            raise GraphError("transition_scale is negative", got=self.transition_scale)


@dataclass(frozen=True)
class DecodingGraph:
    """HCLG and what is needed to read its labels.

    Attributes:
        fst: ``StdVectorFst``; input labels are ``pdf_id + 1``, output labels word ids, 0 is epsilon.
        words: ``words[word_id - 1]`` is the word of an id.
        num_pdfs: Number of senones S, the width of the matrices that it decodes.
        fingerprint: Of lexicon, HMM, language model and config.
    """

    fst: Any
    words: tuple[str, ...]
    num_pdfs: int
    fingerprint: str

    def vocabulary(self) -> tuple[str, ...]:
        """Return the words that it can give: those of the language model, where the lexicon has more."""
        word_ids = np.unique(to_arrays(self.fst).arcs["olabel"])
        return tuple(self.words[word_id - 1] for word_id in word_ids if word_id > 0)


def graph_fingerprint(lexicon: Lexicon, hmm: Hmm, lm: NgramModel, config: GraphConfig) -> str:
    """Return the fingerprint that :func:`build_graph` gives to the graph of these inputs."""
    return fingerprint(
        {
            "version": _FORMAT_VERSION,
            "lexicon": lexicon.pronunciations,
            "hmm": hmm.fingerprint,
            "lm": lm.fingerprint(),
            "config": asdict(config),
        }
    )


def build_graph(
    lexicon: Lexicon, hmm: Hmm, lm: NgramModel, config: GraphConfig | None = None
) -> DecodingGraph:
    """Compose grammar, lexicon and HMM into one graph.

    Args:
        lexicon: Pronunciations; has all words of the model.
        hmm: With a tree of any context.
        lm: Of any order. A list or loop of words is a model of order 1.
        config: Silence and transitions.

    Raises:
        GraphError: The grammar is empty or cannot end, a word lacks a pronunciation.
        LexiconError: A pronunciation has a phone that the HMM lacks.

    Source: Mohri, Pereira & Riley 2008, "Speech Recognition with Weighted Finite-State Transducers";
        Kaldi ``mkgraph.sh``.
    """
    settings = config or GraphConfig()
    phone_fst, first_disambiguation = _phones_to_words(lexicon, hmm, lm, settings)
    expand = expand_alone if hmm.tree.context_width == 1 else expand_in_context
    fst = expand(phone_fst, first_disambiguation, hmm, settings.transition_scale)
    return DecodingGraph(fst, lexicon.words, hmm.num_pdfs, graph_fingerprint(lexicon, hmm, lm, settings))


def _phones_to_words(lexicon: Lexicon, hmm: Hmm, lm: NgramModel, config: GraphConfig) -> tuple[Any, int]:
    """Return LG, determinised and minimised, and its smallest disambiguation symbol."""
    words = _pronounced_words(lexicon, lm)
    lex = lexicon_fst(lexicon, words, hmm.phone_set, config.silence_probability)
    grammar = grammar_fst(lm, lexicon, lex.backoff_word)
    kaldifst.arcsort(lex.fst, sort_type="olabel")
    kaldifst.arcsort(grammar, sort_type="ilabel")
    phone_fst = kaldifst.compose(lex.fst, grammar)
    if phone_fst.num_states == 0 or phone_fst.start < 0:
        raise GraphError(
            "no word sequence of the language model reaches a final state",
            hint="it must give </s> and at least one word of the lexicon a probability above 0",
        )
    kaldifst.determinize_star(phone_fst, use_log=True)
    kaldifst.minimize_encoded(phone_fst)
    return phone_fst, lex.first_disambiguation


def _pronounced_words(lexicon: Lexicon, lm: NgramModel) -> tuple[str, ...]:
    words = lm.words
    if not words:
        raise GraphError("the language model has no words")
    unknown = lexicon.missing(words)
    if unknown:
        shown = ", ".join(f'"{word}"' for word in unknown[:_NUM_SHOWN])
        raise GraphError(
            f"{len(unknown)} words of the language model have no pronunciation: {shown}",
            hint="add them to the lexicon, or read the model with the lexicon's words as its vocabulary",
        )
    return words


def with_insertion_penalty(graph: DecodingGraph, penalty: float) -> DecodingGraph:
    """Return the graph with a cost added for each word; a negative one favours more words."""
    if penalty == 0:
        return graph
    arrays = to_arrays(graph.fst)
    arrays.arcs["weight"] += np.float32(penalty) * (arrays.arcs["olabel"] != 0)
    return replace(graph, fst=from_arrays(arrays))


def save_graph(folder: Path, graph: DecodingGraph) -> None:
    """Write a graph to a folder, atomically: ``HCLG.fst`` (OpenFst), ``words.txt``, ``graph.json``."""
    with atomic_dir(folder) as temporary:
        fst_path = temporary / _FST_FILE
        if not graph.fst.write(str(fst_path)):
            raise GraphError("the graph cannot be written", where=folder, hint="is the disk full?")
        write_text(temporary / _WORDS_FILE, _symbol_table(graph.words))
        header = {
            "fingerprint": graph.fingerprint,
            "num_pdfs": graph.num_pdfs,
            "fst_sha256": file_sha256(fst_path),
            "words_sha256": file_sha256(temporary / _WORDS_FILE),
        }
        write_json(temporary / _HEADER_FILE, header)


def load_graph(folder: Path, expected_fingerprint: str | None = None) -> DecodingGraph:
    """Read a graph that :func:`save_graph` wrote.

    Args:
        folder: Where it is.
        expected_fingerprint: Of the inputs that it must have been built from; None takes any.

    Raises:
        GraphError: It is missing, damaged, or was built from other inputs.
    """
    header = _read_header(folder)
    if expected_fingerprint is not None and header["fingerprint"] != expected_fingerprint:
        raise GraphError(
            "the graph was built from another lexicon, HMM, language model or config",
            where=folder,
            expected=f"fingerprint {expected_fingerprint}",
            got=header["fingerprint"],
            hint="build it again",
        )
    for name, key in ((_FST_FILE, "fst_sha256"), (_WORDS_FILE, "words_sha256")):
        path = folder / name
        # A damaged graph could make the decoder read beyond its matrix, so the bytes are checked first.
        if not path.is_file() or file_sha256(path) != header[key]:
            raise GraphError("the graph is damaged", where=path, hint="build it again")
    fst = kaldifst.StdVectorFst.read(str(folder / _FST_FILE))
    assert fst is not None, "an FST with the right checksum"
    lines = (folder / _WORDS_FILE).read_text(encoding="utf-8").splitlines()
    words = tuple(line.rsplit(" ", 1)[0] for line in lines[1:])
    return DecodingGraph(fst, words, header["num_pdfs"], header["fingerprint"])


def stored_graph(
    folder: Path, lexicon: Lexicon, hmm: Hmm, lm: NgramModel, config: GraphConfig
) -> tuple[DecodingGraph, bool]:
    """Return the graph of some inputs, out of a folder or built and stored there.

    Args:
        folder: Where it is, or will be in place of what is there.
        lexicon: See :func:`build_graph`, as the others.
        hmm: As there.
        lm: As there.
        config: As there.

    Returns:
        The graph and whether it was there before.
    """
    try:
        return load_graph(folder, graph_fingerprint(lexicon, hmm, lm, config)), True
    except GraphError:
        graph = build_graph(lexicon, hmm, lm, config)
        save_graph(folder, graph)
        return graph, False


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER_FILE
    if not path.is_file():
        raise GraphError("no decoding graph here", where=folder, expected=f"a file {_HEADER_FILE}")
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GraphError(f"the graph is damaged: {error}", where=path, hint="build it again") from None
    keys = {"fingerprint": str, "num_pdfs": int, "fst_sha256": str, "words_sha256": str}
    if not isinstance(header, dict) or not all(
        isinstance(header.get(key), kind) for key, kind in keys.items()
    ):
        raise GraphError(
            "the graph is damaged", where=path, expected=f"keys {', '.join(keys)}", hint="build it again"
        )
    return header


def _symbol_table(words: tuple[str, ...]) -> str:
    lines = [f"{word} {word_id}\n" for word_id, word in enumerate(("<eps>", *words))]
    return "".join(lines)
