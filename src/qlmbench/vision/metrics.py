"""How near generated captions are to those that are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qlmbench.data.images.scenes import ATTRIBUTES, parse_caption
from qlmbench.errors import UserError


def caption_metrics(found: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """Score captions by their words; case and repeated blanks do not count.

    Parameters
    ----------
    found, right : sequence of str, length n
        Generated captions and the right ones, in the same order.

    Returns
    -------
    dict of str to float
        ``exact_match``, share that is right word by word; ``bleu``, of the whole set, by
        sacrebleu with its default tokens and smoothing; ``rouge_l``, mean F-measure of the longest
        common subsequence, by rouge-score without stemming. All from 0 to 1.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    UserError
        If sacrebleu or rouge-score is not installed.
    """
    found, right = _checked(found, right)
    return {
        "exact_match": float(np.mean([f == r for f, r in zip(found, right, strict=True)])),
        "bleu": _bleu(found, right),
        "rouge_l": _rouge(found, right),
    }


def attribute_metrics(found: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """Score what captions of scenes say of each group.

    Parameters
    ----------
    found, right : sequence of str, length n
        Generated captions, which may be anything, and right ones of the grammar of scenes.

    Returns
    -------
    dict of str to float
        ``grammatical``, share of generated captions that the grammar has. ``groups``, share with
        the right number of groups, and an accuracy for each of `ATTRIBUTES`: the share of the
        groups in the right captions whose counterpart, by order, says the same. A caption that is
        not grammatical, or has no such group, has all of its attributes wrong.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, or a right caption is not of the grammar.
    """
    found, right = _checked(found, right)
    hits = dict.fromkeys(("grammatical", "groups", *ATTRIBUTES), 0)
    n_groups = 0
    for caption, truth in zip(found, right, strict=True):
        expected = parse_caption(truth)
        if expected is None:
            raise ValueError(f"got the right caption {truth!r}; expected one of a scene")
        said = parse_caption(caption)
        hits["grammatical"] += said is not None
        hits["groups"] += said is not None and len(said) == len(expected)
        n_groups += len(expected)
        for group, true_group in zip(said or (), expected, strict=False):
            mine, theirs = group.attributes(), true_group.attributes()
            for name in ATTRIBUTES:
                hits[name] += mine[name] == theirs[name]
    return {
        name: count / (n_groups if name in ATTRIBUTES else len(right))
        for name, count in hits.items()
    }


def _checked(found: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
    if len(found) != len(right) or not right:
        raise ValueError(
            f"got {len(found)} captions and {len(right)} right ones; expected equally many, at "
            "least one"
        )
    plain = [[" ".join(text.lower().split()) for text in texts] for texts in (found, right)]
    return plain[0], plain[1]


def _bleu(found: list[str], right: list[str]) -> float:
    sacrebleu = _import("sacrebleu")
    return float(sacrebleu.corpus_bleu(found, [right]).score) / 100


def _rouge(found: list[str], right: list[str]) -> float:
    scorer = _import("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    scores = [scorer.score(r, f)["rougeL"].fmeasure for f, r in zip(found, right, strict=True)]
    return float(np.mean(scores))


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0].replace("_", "-")
        raise UserError(
            f"BLEU and ROUGE need {package}: {error}", do="pip install 'qlmbench[vision]'"
        ) from None
