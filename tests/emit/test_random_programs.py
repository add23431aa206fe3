"""Random symbolic programs: what is written says what the graph computes, and is formatted as ruff would have it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Readout, Sign, Value
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Function, Graph, Node, Type, check
from exegesis.runtime import Executor

S = ("batch", "position")
SELECTOR = Type("selector", ("batch", "query", "key"))
BOOL, REAL, INT = Type("bool", S), Type("real", S), Type("int", S)
TOKEN, PLACE = Type("category", S, "token"), Type("category", S, "place")
COUNTS = Type("real", (*S, "token"))
TOKENS, PLACES = Node("tokens", "input.tokens", (), TOKEN), Node("places", "input.positions", (), PLACE)
LABELS = ("a", "b", "c", "<bos>", "<sep>", "<eos>", "<pad>")
ATTEND = np.linspace(-2, 2, 49, dtype=np.float64).reshape(7, 7)


class Grower:
    """Adds random nodes to a graph; `rng` decides everything."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [TOKENS, PLACES]

    def of_kind(self, *kinds: str) -> Node:
        """A node of one of these kinds, later ones likelier; a real one has classes if `counts` is asked for."""
        fitting = [n for n in self.nodes if ("counts" if n.type == COUNTS else n.type.kind) in kinds]
        return fitting[int(len(fitting) * np.sqrt(self.rng.random()))]

    def some(self, high: int) -> list[int]:
        return sorted(self.rng.choice(high, size=self.rng.integers(1, high), replace=False).tolist())

    def add(self, op: str, kind: Type, *sources: Node, tensors: dict[str, str] | None = None, **attrs: object) -> None:
        inputs = tuple(s.id for s in sources)
        name = f"named {op.split('.')[0]}" if self.rng.random() < 0.15 else None
        node = Node(f"n{len(self.nodes)}", f"symbolic.{op}", inputs, kind, attrs, tensors or {}, name=name)
        self.nodes.append(node)

    def flip(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def number(self) -> float:
        return float(self.rng.choice([-2, -1, -1, 1, 1, 2, 0.5, -1.5]))

    def grow(self) -> None:
        """One more node."""
        pick: list[Callable[[], None]] = [self._selector, self._narrower, self._reads, self._category, self._condition]
        pick[self.rng.integers(len(pick))]()

    def _selector(self) -> None:
        like = self.of_kind("category", "bool", "int")
        k = self.rng.integers(7)
        if k == 6:
            listed = sorted((q, int(self.rng.integers(-1, 7))) for q in self.some(7) for _ in range(2))
            pairs = [list(pair) for pair in dict.fromkeys(listed)]
            query, key = self.of_kind("category", "bool", "int"), self.of_kind("category", "int")
            self.add("related", SELECTOR, query, key, pairs=pairs, causal=self.flip())
        elif k == 5:
            relation = ("<", "<=", ">", ">=")[self.rng.integers(4)]
            query, key = self.of_kind("category", "bool", "int"), self.of_kind("category", "int")
            self.add("ordered", SELECTOR, query, key, **{"is": relation, "causal": self.flip()})
        elif k == 0:
            self.add("everywhere", SELECTOR, like, causal=self.flip())
        elif k == 1:
            self.add("back", SELECTOR, like, by=int(self.rng.integers(0, 3)))
        elif k == 2:
            self.add("at", SELECTOR, like, index=int(self.rng.integers(0, 3)), causal=self.flip())
        elif k == 3:
            self.add(
                "match",
                SELECTOR,
                self.of_kind("category", "int"),
                self.of_kind("category", "bool", "int"),
                causal=self.flip(),
            )
        else:
            query = next(n for n in reversed(self.nodes) if n.type == TOKEN)
            self.add("attend", SELECTOR, query, TOKENS, causal=self.flip(), tensors={"table": "attend"})

    def _narrower(self) -> None:
        if not any(n.type == SELECTOR for n in self.nodes):
            return self._selector()
        selector, key = self.of_kind("selector"), self.of_kind("category", "bool", "int")
        k = self.rng.integers(8)
        if k == 7 and any(n.type == BOOL for n in self.nodes):
            self.add("when", SELECTOR, selector, self.of_kind("bool"))
        elif k >= 6:
            pairs = [[q, c, abs(self.number())] for q in self.some(7) for c in self.some(7)]
            query, other = self.of_kind("category", "bool", "int"), 1 if self.flip() else 0
            self.add("weigh_pairs", SELECTOR, selector, query, key, weights=pairs, other=other)
        elif k == 4:
            self.add("either" if self.flip() else "otherwise", SELECTOR, selector, self.of_kind("selector"))
        elif k == 5:
            self.add("extreme", SELECTOR, selector, key, which="smallest" if self.flip() else "largest")
        elif k == 0:
            self.add("where", SELECTOR, selector, key, values=self.some(7), negated=self.flip())
        elif k == 1:
            self.add("both", SELECTOR, selector, self.of_kind("selector"))
        elif k == 2:
            self.add("nearest", SELECTOR, selector, which="latest" if self.flip() else "first")
        else:
            weights = [[c, abs(self.number())] for c in self.some(7)]
            self.add("weigh", SELECTOR, selector, key, weights=weights, other=1 if self.flip() else 0)
        return None

    def _reads(self) -> None:
        if not any(n.type == SELECTOR for n in self.nodes):
            return self._selector()
        selector, value = self.of_kind("selector"), self.of_kind("category", "bool", "int")
        op = ("share", "count", "copy", "width")[self.rng.integers(4)]
        if op == "width":
            return self.add("width", INT if self.flip() else REAL, selector)
        held = value.type if value.type.kind == "category" else TOKEN
        self.add(op, held if op == "copy" else COUNTS, selector, value)
        return None

    def _category(self) -> None:
        value = self.of_kind("category", "bool", "int")
        k = self.rng.integers(9)
        if k == 8:
            drawn = {(s, c): int(self.rng.integers(7)) for s in self.some(4) for c in self.some(7)}
            rows = [[s, c, after] for (s, c), after in sorted(drawn.items()) if s != after]
            self.add("automaton", PLACE, self.of_kind("category", "bool"), start=0, transitions=rows)
        elif k == 0:
            kind = value.type if value.type.kind == "category" else TOKEN
            self.add("relabel", kind, value, table=[[c, int(self.rng.integers(7))] for c in self.some(7)])
        elif k == 1:
            is_bool = self.flip()
            rows = [[c, int(self.rng.integers(2 if is_bool else 7))] for c in self.some(7)]
            self.add("lookup", BOOL if is_bool else TOKEN, value, rows=rows, other=int(self.rng.integers(2)))
        elif k == 2:
            rows = [[a, b, int(self.rng.integers(7))] for a in self.some(3) for b in self.some(4)]
            self.add("lookup", TOKEN, value, self.of_kind("category", "bool"), rows=rows, other=-1)
        elif k == 3:
            self.add(
                "mod", TOKEN, self.of_kind("category", "int", "real"), period=3, **({"plus": 1} if self.flip() else {})
            )
        elif k == 4:
            value = self.of_kind("category", "int")
            self.add("shift", PLACE if value.type == INT else value.type, value, by=-int(self.rng.integers(3)))
        elif k == 5 and any(n.type == COUNTS for n in self.nodes):
            among = {"among": self.some(7)} if self.flip() else {}
            self.add("largest", TOKEN, self.of_kind("counts"), **among)
        elif k == 6 and any(n.type == BOOL for n in self.nodes):
            conditions = [self.of_kind("bool") for _ in range(self.rng.integers(1, 4))]
            gives = [int(self.rng.integers(7)) for _ in conditions]
            self.add("choose", TOKEN, *conditions, gives=gives, other=int(self.rng.integers(-1, 7)))
        elif k == 7 and any(n.type == BOOL for n in self.nodes):
            first = self.of_kind("category")
            second = next(n for n in reversed(self.nodes) if n.type == first.type)
            self.add("prefer", first.type, self.of_kind("bool"), first, second)
        else:
            self.add("always", TOKEN, value, value=int(self.rng.integers(7)))

    def _condition(self) -> None:
        k = self.rng.integers(8)
        bools = any(n.type == BOOL for n in self.nodes)
        if k == 7:
            self.add("equal", BOOL, self.of_kind("category", "bool", "int"), self.of_kind("category", "int"))
        elif k == 6 and any(n.type == INT for n in self.nodes):
            to = {"to": int(self.rng.integers(3))} if self.flip() else {}
            which = "smaller" if self.flip() else "larger"
            self.add("bound", INT, *(self.of_kind("int") for _ in range(self.rng.integers(1, 3))), which=which, **to)
        elif k == 0 and bools:
            self.add("not", BOOL, self.of_kind("bool"))
        elif k == 1 and bools:
            self.add(
                "and" if self.flip() else "or", BOOL, *(self.of_kind("bool") for _ in range(self.rng.integers(1, 4)))
            )
        elif k == 2:
            self.add("is_in", BOOL, self.of_kind("category", "bool", "int"), values=self.some(7))
        elif k == 3 and any(n.type == REAL for n in self.nodes):
            relation = (">", ">=", "<", "<=", "==", "!=")[self.rng.integers(6)]
            self.add("compare", BOOL, self.of_kind("real"), **{"is": relation, "to": int(self.rng.integers(-1, 3))})
        elif k == 4:
            relation = (">", ">=", "<", "<=", "==", "!=")[self.rng.integers(6)]
            self.add(
                "compare",
                BOOL,
                self.of_kind("category", "int"),
                **{"is": relation, "to": int(self.rng.integers(-1, 7))},
            )
        else:
            self._form()

    def _form(self) -> None:
        sources = [self.of_kind("category", "bool", "real", "int", "counts") for _ in range(self.rng.integers(1, 4))]
        terms = []
        for k, source in enumerate(sources):
            for _ in range(self.rng.integers(1, 3)):
                plain = (
                    source.type == REAL or (source.type == INT and self.flip()) or (source.type == BOOL and self.flip())
                )
                high = 2 if source.type == BOOL else 7
                terms.append([self.number(), k, None if plain else int(self.rng.integers(high))])
        plus = float(self.rng.choice([0, 0, 1, -2.5]))
        are_whole = all(
            float(x).is_integer() for x in (plus, *(t[0] for t in terms))
        )  # else ties are rounded by chance
        self.add("form", INT if are_whole and self.flip() else REAL, *sources, terms=terms, plus=plus)


def random_graph(seed: int, size: int = 14) -> Graph:
    """A checked graph of about `size` nodes whose answer is a category, a set or a number."""
    grower = Grower(seed)
    while len(grower.nodes) < size:
        grower.grow()
    bools = [n for n in grower.nodes if n.type == BOOL]
    if seed % 3 == 0 and bools:
        conditions = [grower.of_kind("bool") for _ in range(3)]
        kind = Type("bool", (*S, "token"))
        grower.add(
            "allow", kind, TOKENS, *conditions, gives=[0, 2, 2 if grower.flip() else 5], always=grower.some(7)[:1]
        )
    elif seed % 3 == 1:
        grower._form()
    else:
        last = grower.of_kind("category")
        grower.add("relabel", last.type, last, table=[[0, 1]])
    nodes = [replace(n, name=None) if k == len(grower.nodes) - 1 else n for k, n in enumerate(grower.nodes)]
    axes = {n: Axis(n) for n in ("batch", "position", "query", "key")}
    axes |= {"token": Axis("token", 7, LABELS), "place": Axis("place", 64)}
    made = Graph(tuple(nodes), (nodes[-1].id,), {"attend": ATTEND}, axes)
    made = replace(made.pruned(), functions=functions(made.pruned(), grower.rng))
    check(made)
    return made


def functions(graph: Graph, rng: np.random.Generator) -> tuple[Function, ...]:
    """Neighbouring nodes as functions, one of them nested: runs of a topological order can always be definitions."""
    inner = [n.id for n in graph.nodes if not n.op.startswith("input.")]
    if len(inner) < 4 or rng.random() < 0.3:
        return ()
    a, b, c = sorted(rng.choice(len(inner), size=3, replace=False).tolist())
    cuts = (inner[a:b], inner[b:c], inner[c : c + 1])
    outer = Function("outer part", tuple(cuts[0]), "The outer part.")
    nested = Function("n2", tuple(cuts[1]), "", parent="outer part")
    return (outer, nested, Function("copy", tuple(cuts[2])))


def readout_of(graph: Graph) -> Readout:
    output = graph[graph.outputs[0]]
    return Sign() if output.op == "symbolic.allow" else Value(0.1) if output.type.kind == "real" else Argmax()


def expected(graph: Graph, ids: list[int], places: list[int]) -> list[object]:
    """The entries that `run` must give, from the graph run with torch."""
    given = {"tokens": torch.tensor([ids]), "places": torch.tensor([places])}
    inputs = {n.id: given[n.id] for n in graph.inputs}
    value = Executor(graph, dtype=torch.float64).run(inputs)[graph.outputs[0]][0]
    if value.ndim == 2:
        return [row.nonzero()[:, 0].tolist() for row in value]
    return value.tolist()


@pytest.mark.parametrize("seed", range(60))
def test_a_written_program_says_what_its_graph_computes(
    seed: int, imports: Callable[[str, dict[str, np.ndarray]], ModuleType]
) -> None:
    graph = random_graph(seed)
    source = emit_program(graph, about=About("A random program."), readout=readout_of(graph))
    run = imports(source, {k: np.asarray(v) for k, v in graph.tensors.items()}).run
    rng = np.random.default_rng(seed)
    for n in (1, 2, 9):
        ids, places = rng.integers(0, 7, n).tolist(), rng.integers(0, 9, n).tolist()
        said, meant = run(ids, places), expected(graph, ids, places)
        assert len(said) == n
        if said and isinstance(said[0], float):
            np.testing.assert_allclose(said, meant, atol=1e-9, err_msg=source)
        else:
            assert said == meant, source


def test_written_programs_are_formatted(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    for seed in range(80):
        graph = random_graph(seed, size=10 + seed % 30)
        source = emit_program(graph, about=About("A random program."), readout=readout_of(graph))
        (tmp_path / f"program_{seed}.py").write_text(source)
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "--diff", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
