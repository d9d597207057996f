"""Word lattices: the likely word sequences of an utterance, n-best lists and word posteriors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import kaldifst

from asr_kd.decode.edit_recursion import EditRecursion
from asr_kd.decode.fst_arrays import FstArrays, from_arrays, to_arrays
from asr_kd.errors import ConfigError

# Arcs hold costs in single precision.
_EQUAL_MASS = 1e-6
_MAX_STEPS = 10


class Candidate(NamedTuple):
    """A word sequence and its cost: graph cost minus scaled log-likelihoods."""

    words: tuple[str, ...]
    cost: float

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.words)


@dataclass(frozen=True)
class WordLattice:
    """An acyclic acceptor of word sequences.

    Attributes:
        arrays: ``ilabel`` of its arcs is a word id, ``weight`` a cost; no arc is without a word.
        words: ``words[word_id - 1]`` is the word of an id.
    """

    arrays: FstArrays
    words: tuple[str, ...]

    @classmethod
    def of_candidates(cls, candidates: Iterable[Candidate]) -> WordLattice:
        """Return the lattice of a list of different word sequences, each a path of its own."""
        fst = kaldifst.StdVectorFst()
        fst.start = fst.add_state()
        ids: dict[str, int] = {}
        for words, cost in candidates:
            state, waiting = fst.start, cost
            for word in words:
                following = fst.add_state()
                word_id = ids.setdefault(word, len(ids) + 1)
                fst.add_arc(state, kaldifst.StdArc(word_id, word_id, waiting, following))
                state, waiting = following, 0.0
            fst.set_final(state, waiting)
        return cls(to_arrays(fst), tuple(ids))

    def nbest(self, num_best: int) -> list[Candidate]:
        """Return the cheapest word sequences, best first.

        Raises:
            ConfigError: For a number below 1.
        """
        if num_best < 1:
            raise ConfigError("an n-best list has one entry or more", got=num_best)
        # Two or more: of a single one the weight is lost where it has no word.
        paths = kaldifst.shortest_path(from_arrays(self.arrays), max(2, num_best))
        found = []
        for path in kaldifst.convert_nbest_to_vector(paths):
            _, word_ids, _, weight = kaldifst.get_linear_symbol_sequence(path)
            found.append(Candidate(tuple(self.words[word_id - 1] for word_id in word_ids), weight.value))
        return sorted(found, key=lambda candidate: candidate.cost)[:num_best]

    def word_posteriors(self, words: Sequence[str]) -> list[dict[str, float]]:
        """Return what stands in place of each word of a sequence, with its posterior.

        The lattice's paths, weighted by their posteriors, are aligned with the sequence so that the
        expected number of errors is least; "" stands for no word. Each dictionary sums to 1, and the
        posterior of the word itself is its confidence.

        Args:
            words: Usually the lattice's best word sequence.

        Source: Xu, Povey, Mangu & Zhu 2011, "Minimum Bayes Risk decoding and system combination based on a
            recursion for edit distance", algorithm 1 (Kaldi ``lattice-to-ctm-conf``).
        """
        known = {word: word_id for word_id, word in enumerate(self.words, start=1)}
        reference = [known.get(word, -1) for word in words]
        names = {0: "", **dict(zip(reference, words, strict=True)), **dict(enumerate(self.words, start=1))}
        mass = EditRecursion(self.arrays, reference).run()
        return [{names[word_id]: share for word_id, share in place.items()} for place in mass]

    def confidences(self, words: Sequence[str]) -> list[float]:
        """Return the posterior of each word of a sequence, 0 to 1; see :meth:`word_posteriors`."""
        places = self.word_posteriors(words)
        return [min(1.0, place.get(word, 0.0)) for word, place in zip(words, places, strict=True)]

    def least_risk_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the word sequence with the fewest expected errors, by steps from a given one.

        Source: Xu, Povey, Mangu & Zhu 2011, section 4 (Kaldi ``lattice-mbr-decode``).
        """
        known = {word: word_id for word_id, word in enumerate(self.words, start=1)}
        current = [known[word] for word in words]
        for _ in range(_MAX_STEPS):
            # Between any two words there may be one more.
            reference = [0, *(each for word_id in current for each in (word_id, 0))]
            places = zip(reference, EditRecursion(self.arrays, reference).run(), strict=True)
            following = [best for own, place in places if (best := _likeliest(place, own))]
            if following == current:
                break
            current = following
        return tuple(self.words[word_id - 1] for word_id in current)


def vote(hypotheses: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the words that several systems' hypotheses of one utterance agree on most, one vote each.

    Where no word has a majority, that of the first system stays.
    """
    counts = Counter(tuple(words) for words in hypotheses)
    candidates = [Candidate(words, -math.log(count)) for words, count in counts.items()]
    return WordLattice.of_candidates(candidates).least_risk_words(hypotheses[0])


def _likeliest(place: dict[int, float], own: int) -> int:
    """Return the word with the largest mass; of several the one that stands there already."""
    best = max(place, key=lambda word_id: (place[word_id], -word_id))
    return own if place.get(own, 0.0) >= place[best] - _EQUAL_MASS else best
