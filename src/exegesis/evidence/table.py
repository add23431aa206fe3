"""Figures as rows that a person reads."""

from collections.abc import Mapping
from typing import NamedTuple

from exegesis.evidence.figures import Figures
from exegesis.evidence.records import Measurement


class Row(NamedTuple):
    """One line of a verdict for a person."""

    what: str
    figure: str
    detail: str


def figure_rows(figures: Figures) -> list[Row]:
    """One row per figure that was measured."""
    joint = {"joint": figures.joint_interchange} if figures.joint_interchange else {}
    rows = [
        *_measured("agreement, {}", figures.agreement),
        *_measured("agreement beyond the training lengths, {}", figures.agreement_beyond),
        *_measured("inputs without any difference, {}", figures.sequences_exact),
        *_measured("interchange, {}", joint),
        *_measured("interchange of {}", figures.interchange),
        *_measured("interchange of {} at one position", figures.interchange_one_position),
        *_measured("interchange of {} between positions", figures.interchange_between),
        *_measured("unchanged by a swap of {}", figures.interchange_unchanged),
        *(Row(f"interchange of {name}", "not tested", "without alignment") for name in figures.without_alignment),
        *_measured("survives when unused parts are ablated, {}", figures.sufficiency),
        *_measured("breaks when used parts are ablated, {}", figures.necessity),
        *_measured("stability, {}", figures.stability),
    ]
    if figures.constant:
        everywhere = "the same on all splits and with any letters: nothing to exchange, nothing that could break"
        rows.append(Row("answers of the program", "constant", everywhere))
    if figures.answer_bits is not None:
        rows.append(Row("answers beyond a table of tokens", f"{figures.answer_bits:.2f} bits", "of the network, each"))
    if figures.task_accuracy is not None:
        rows += _measured("the network's accuracy{}", {"": figures.task_accuracy})
    if figures.attack is not None:
        attack = figures.attack
        worst = "" if attack.worst_margin is None else f", worst margin {attack.worst_margin:.4g}"
        rows.append(
            Row("attack", f"{attack.found} found", f"{attack.queries} queries, {attack.restarts} restarts{worst}")
        )
    sizes = f"{figures.unread_bits:.0f} of {figures.lifted_bits:.0f} bits are opaque"
    rows.append(Row("legible share", f"{figures.legible_share:.4f}", sizes))
    if figures.opaque_bits != figures.unread_bits:
        share = figures.opaque_bits / figures.lifted_bits
        rows.append(
            Row("description length", f"{share:.4f}", f"{figures.opaque_bits:.0f} bits, once numbers are rounded")
        )
    if figures.code_lines is not None:
        numbers = f"{figures.numbers_in_code} numbers in the code, {figures.numbers_in_tensors} in tensors"
        rows.append(Row("lines of code", str(figures.code_lines), numbers))
    if figures.seconds is not None:
        memory = "" if figures.peak_memory_mb is None else f"{figures.peak_memory_mb:.0f} MiB at most"
        rows.append(Row("seconds", f"{figures.seconds:.1f}", memory))
    return rows


def _measured(what: str, measurements: Mapping[str, Measurement]) -> list[Row]:
    return [Row(what.format(name), f"{m.value:.4f}", _bounds(m)) for name, m in sorted(measurements.items())]


def _bounds(measured: Measurement) -> str:
    detail = f"n = {measured.n}"
    if measured.lower is not None and measured.upper is not None and measured.confidence is not None:
        detail = f"[{measured.lower:.4f}, {measured.upper:.4f}] at {measured.confidence:.0%}, {detail}"
    if measured.null_value is not None:
        detail += f", null {measured.null_value:.4f}"
    return detail
