"""What passes noted of a network's heads in a program's meta, and how two programs differ in that, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exegesis.ir.graph import Graph, Json

HEADS = "heads"
_NOTICED = 0.01  # a share of attention that changes by less is the same


def heads_told(a: Graph, b: Graph) -> tuple[str, ...]:
    """A sentence for every head that looks elsewhere in program b than in a, more clearly, or is replaced in one only.

    The meta of a program may hold, by head, `looks at` (half a sentence, or None where no description fits), `share`
    (of its attention that this describes) and `replaced` (whether a selector stands in its place).
    """
    before, after = (g.meta.get(HEADS) or {} for g in (a, b))
    shared = [head for head in after if head in before]
    return tuple(f"{head} {told}" for head in shared if (told := "; ".join(_told(before[head], after[head]))))


def _told(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    was, now = old["looks at"], new["looks at"]
    if was != now:
        if was is None:
            yield f"begins to look at {now} ({_percent(new)})"
        elif now is None:
            yield f"no longer looks at {was} ({_percent(old)} before)"
        else:
            yield f"now looks at {now} ({_percent(new)}), before at {was} ({_percent(old)})"
    elif was is not None and abs(old["share"] - new["share"]) >= _NOTICED:
        how = "more" if new["share"] > old["share"] else "less"
        yield f"looks {how} clearly at {now}: {_percent(new)} of its attention, {_percent(old)} before"
    if old["replaced"] != new["replaced"]:
        yield "is replaced by that" if new["replaced"] else "is not replaced any more"


def _percent(told: Mapping[str, Json]) -> str:
    return f"{100 * float(told['share']):.1f} %"
