"""How numbers and names read: one way for every table, figure, page and terminal."""

from __future__ import annotations

import math

from qlmbench.stats.wording import MINUS, with_minus

NOTHING = "\N{EN DASH}"
OPENING, CLOSING = "\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"
_WRITTEN = ("exact_match", "exact_match_seen", "exact_match_held_out", "grammatical", "groups")
_SHARES = ("accuracy", "f1", "auc", "share", "rate", "recall", "precision", "retrieval", *_WRITTEN)
_LOSSES = ("loss", "cross_entropy")
_NATS = (*_LOSSES, "cross_entropy_other_image", "image_gain")
_TIMES = ("seconds", "seconds_per_epoch")
_LOWER_IS_BETTER = (*_LOSSES, *_TIMES, "perplexity", "error")
_ROLES = ("train_", "validation_", "test_")


def is_share(metric: str) -> bool:
    """Whether a metric lies between 0 and 1 and reads as a percentage."""
    return metric.endswith(_SHARES)


def is_loss(metric: str) -> bool:
    """Whether a metric is in nats."""
    return metric.endswith(_NATS)


def is_time(metric: str) -> bool:
    """Whether a metric is in seconds; each of its values then reads with its own unit."""
    return metric.endswith(_TIMES)


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better."""
    return not metric.endswith(_LOWER_IS_BETTER)


def without_role(metric: str) -> str:
    """Name of a metric without the rows that it was taken on: ``log_loss``."""
    role = next((role for role in _ROLES if metric.startswith(role)), "")
    return metric.removeprefix(role)


def metric_title(metric: str) -> str:
    """Name of a metric in running text: ``test_accuracy`` reads ``test accuracy``."""
    return metric.replace("seconds_per", "time per").replace("_", " ")


def unit(metric: str) -> str:
    """Return the unit that stands once, over a column or an axis; empty where there is none."""
    if is_share(metric):
        return "%"
    return "nats" if is_loss(metric) else ""


def difference_unit(metric: str) -> str:
    """Return the unit of a difference: percentages differ by points."""
    return "points" if is_share(metric) else unit(metric)


def column_title(metric: str) -> str:
    """Name of a metric over a column, with its unit where it has one."""
    return with_unit_after(metric_title(metric), unit(metric))


def with_unit_after(title: str, unit_: str) -> str:
    """Write a unit after a title: ``test accuracy, %``; the title alone where there is none."""
    return f"{title}, {unit_}" if unit_ else title


def scale(metric: str) -> float:
    """Factor between a stored value and the value as shown (100 where percent is shown)."""
    return 100.0 if is_share(metric) else 1.0


def value(metric: str, number: float | None) -> str:
    """Write a value of a metric without its unit: a percentage with one decimal, else 3 digits.

    A time has its unit all the same: those of one column may differ a thousandfold.
    """
    if number is None or not math.isfinite(number):
        return NOTHING
    if is_share(metric):
        return with_minus(f"{100 * number:.1f}")
    return with_minus(duration(number) if is_time(metric) else three_digits(number))


def three_digits(number: float) -> str:
    """Write three significant digits, zeros at the end too: 0.0123, 1.70, 123, 12,300; or 0."""
    if abs(number) >= 999.5:
        return f"{float(f'{number:.3g}'):,.0f}"
    return f"{number:#.3g}".rstrip(".") if number else "0"


def stated(metric: str, number: float) -> str:
    """Write a value that somebody stated, a paper or a margin, without adding digits to it."""
    if is_time(metric):
        return mark(number)
    if is_share(metric) or abs(number) >= 999.5:
        return value(metric, number)
    return with_minus(f"{number:.3g}")


def duration(number: float) -> str:
    """Write seconds to three digits, those below a tenth as milliseconds."""
    size, name = (1000 * number, "ms") if abs(number) < 0.1 else (number, "s")
    return f"{size:#.3g} {name}".replace(". ", " ") if abs(size) < 999.5 else f"{size:,.0f} {name}"


def mark(number: float) -> str:
    """Write a duration along an axis, where the numbers are round: ``0.1 s``, ``20 ms``."""
    if number == 0:
        return "0"
    text = f"{number:g} s" if abs(number) >= 0.1 else f"{1000 * number:g} ms"
    return with_minus(text)


def with_unit(metric: str, number: float | None) -> str:
    """Write a value of a metric with its unit."""
    text = value(metric, number)
    return joined(text, unit(metric)) if text != NOTHING else text


def difference(metric: str, number: float | None) -> str:
    """Write a difference with its sign and without its unit."""
    if number is None or not math.isfinite(number):
        return NOTHING
    text = value(metric, abs(number))
    if not any(digit in text for digit in "123456789"):
        return text
    return f"+{text}" if number > 0 else f"{MINUS}{text}"


def stated_difference(metric: str, number: float) -> str:
    """Write a difference that somebody stated, with its sign and its unit."""
    sign = MINUS if number < 0 else "+"
    return joined(sign + stated(metric, abs(number)), difference_unit(metric))


def difference_with_unit(metric: str, number: float | None) -> str:
    """Write a difference with its sign and its unit: points, where the metric is a percentage."""
    text = difference(metric, number)
    return joined(text, difference_unit(metric)) if text != NOTHING else text


def interval(metric: str, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """Write an interval in brackets; nothing where an end is missing."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    write = difference if signed else value
    ends = [write(metric, low), write(metric, high)]
    units = {end.partition(" ")[2] for end in ends}
    if len(units) == 1 and (shared := units.pop()):  # times of one unit: it stands once
        ends = [end.removesuffix(f" {shared}") for end in ends]
        return f"[{', '.join(ends)}] {shared}"
    return f"[{', '.join(ends)}]"


def amount(metric: str, size: float) -> str:
    """Write the size of a difference, without a sign: ``one point``, ``0.01 nats``."""
    if is_share(metric) and math.isclose(size, 0.01):
        return "one point"
    return joined(stated(metric, abs(size)), difference_unit(metric))


def sentence_case(text: str) -> str:
    """Write the first letter large."""
    return text[:1].upper() + text[1:]


def named(label: str) -> str:
    """Write an arm's label in a sentence: in quotes where it has commas of its own."""
    label = label.rstrip(".")
    return f"{OPENING}{label}{CLOSING}" if any(mark in label for mark in ",;:") else label


def joined(*parts: str) -> str:
    """Join the parts that are not empty with one space."""
    return " ".join(part for part in parts if part)


def p_value(p: float | None) -> str:
    """Write a p-value: two significant digits, never below 0.001, a dash where there is none."""
    if p is None or not math.isfinite(p):
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(number: float | None) -> str:
    """Write a whole number with thousands separators."""
    if number is None or not math.isfinite(number):
        return NOTHING
    return f"{round(number):,}"


def large(number: float | None) -> str:
    """Write a large count shortly: 12,400 stays, 1,240,000 reads 1.24 million."""
    if number is None or not math.isfinite(number):
        return NOTHING
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return count(number)


def seconds(number: float | None) -> str:
    """Write a duration."""
    if number is None or not math.isfinite(number):
        return NOTHING
    if number < 0.1:
        return f"{1000 * number:.2g} ms"
    if number < 10:
        return f"{number:.1f} s"
    if number < 100:
        return f"{number:.0f} s"
    minutes, rest = divmod(round(number), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Write a count with its noun: ``1 repetition``, ``20 repetitions``."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def listed(words: list[str]) -> str:
    """Join words as in a sentence: ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def number(value_: float | int | str | bool | None) -> str:
    """Write a parameter's value as people would."""
    if value_ is None or (isinstance(value_, float) and not math.isfinite(value_)):
        return NOTHING
    if isinstance(value_, bool | str):
        return str(value_).lower() if isinstance(value_, bool) else value_
    return with_minus(f"{value_:g}")


def quantity(value_: float | int | str | bool | None) -> str:
    """Write the value of a condition: like `number`, large whole numbers with separators."""
    whole = isinstance(value_, int | float) and not isinstance(value_, bool) and value_ >= 1000
    return count(float(value_)) if whole and value_ is not None else number(value_)
