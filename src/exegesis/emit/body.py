"""The statements of one definition of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exegesis.behavior import Readout
from exegesis.emit.answers import answer
from exegesis.emit.code import (
    INDENT,
    WIDTH,
    Bracketed,
    Chain,
    Code,
    Comparison,
    call,
    chain,
    compared,
    first_table,
    name,
    several,
    statement,
)
from exegesis.emit.components import COMPONENT
from exegesis.emit.docstrings import comment
from exegesis.emit.naming import default_name, free_name, identifier, shorter_name
from exegesis.emit.operators import crossed, operator
from exegesis.emit.periodic import PERIODIC
from exegesis.emit.permutations import PERMUTATIONS
from exegesis.emit.recurrent import RECURRENT, definition
from exegesis.emit.structure import Scope
from exegesis.emit.symbolic import SYMBOLIC, Scene, allowed_by
from exegesis.emit.tables import AllowTable
from exegesis.emit.truths import is_truth
from exegesis.ir import Level, Node

_DEEPEST = 2  # calls within calls on one line; one more where the line is short
_SHORT = 76  # characters
_BRIEF = 24  # characters of a comparison that may be written twice
_PLAIN_SELECTORS = frozenset({"symbolic.everywhere", "symbolic.back", "symbolic.at", "symbolic.match"})
_BUILD = {**SYMBOLIC, **PERIODIC, **PERMUTATIONS, **RECURRENT, **COMPONENT}


class Body:
    """Writes one definition, from what it takes to what it returns.

    A value that is read once is written where it is read, unless it has a name worth keeping or that line would become
    too long or too deep.

    Attributes:
        uses: the constants, primitives and other global names that the statements mention, once they are written.
    """

    def __init__(
        self,
        scene: Scene,
        tables: Mapping[str, AllowTable],
        functions: Mapping[str, str],
        readout: Readout,
        scope: Scope,
    ) -> None:
        self.scene = scene
        self.graph = scene.graph
        self.tables = tables
        self.functions = functions
        self.readout = readout
        self.scope = scope
        self.uses: set[str] = set()
        self._lines: list[str] = []
        self._waiting: dict[str, Code] = {}  # written where they are read, once
        self._brief: dict[str, Code] = {}  # so short that they are written wherever they are read
        self._names: dict[str, str] = {}
        self._documented: set[str] = set()  # by the docstring of the definition that gives them
        for node in scope.takes:
            self._variable(node)

    def signature(self) -> str:
        """The line that begins the definition."""
        if self.scope.function is not None:
            takes = ", ".join(self._names[n] for n in self.scope.takes)
            return f"def {self.functions[self.scope.function.name]}({takes}):"
        if any(n.op == "input.array" for n in self.graph.inputs):
            return "def run(x):"
        return "def run(input_ids, position_ids=None):"

    def lines(self) -> list[str]:
        """The statements."""
        for item in self.scope.body:
            if isinstance(item, Scope):
                self._child(item)
            elif self.graph[item].op.startswith("input."):
                self._input(self.graph[item])
            else:
                self._node(self.graph[item])
        self._return()
        return self._lines

    def _return(self) -> None:
        gives = self.scope.gives
        if self.scope.function is not None:
            return self._write("return ", several([self._read(n) for n in gives]))
        said = self._said(gives[0])
        if len(said.text) > WIDTH - 3 * INDENT and gives[0] in self._waiting and not self._waiting[gives[0]].brackets:
            self._settle(gives[0])
            said = self._said(gives[0])
        return self._write("return ", said)

    def _said(self, node_id: str) -> Code:
        output = crossed(self.graph, self.graph[node_id], self._read(node_id), Level.SYMBOLIC)
        return answer(self.graph, self.readout, output)

    def _variable(self, node_id: str) -> str:
        """The name of a node's variable here; the names of functions are taken."""
        if node_id not in self._names:
            node = self.graph[node_id]
            functions = self.functions.values()
            wanted = identifier(node.name or "")
            if wanted and node.op == "symbolic.width" and is_truth(self.graph, node_id):
                wanted = wanted if wanted.startswith("ever_") else f"any_{wanted}"
            if wanted in functions:
                wanted = shorter_name(wanted)
            if not wanted or wanted in functions:
                wanted = default_name(node, self.graph)
            taken = {*self._names.values(), *functions}
            self._names[node_id] = "x" if node.op == "input.array" else free_name(wanted, taken)
        return self._names[node_id]

    def _read(self, node_id: str) -> Code:
        return self._waiting.get(node_id) or self._brief.get(node_id) or name(self._variable(node_id))

    def _write(self, prefix: str, code: Code) -> None:
        """A statement. Where it is too long, a table, or what is left of an operator, gets one of its own first."""
        if INDENT + len(prefix) + len(code.text) > WIDTH:
            if isinstance(code, Bracketed) and (table := first_table(code)) is not None:
                code = code.with_item(table, self._aside("table", code.items[table][1]))
            elif isinstance(code, Comparison):
                code = compared(self._aside("left", code.left), code.operator, code.right)
            elif isinstance(code, Chain) and len(code.operands) == 2:
                first, second = code.operands
                code = chain(code.operators[0], [self._aside("left", first), second])
        self._lines += statement(prefix, code)
        self.uses |= code.uses

    def _aside(self, wanted: str, code: Code) -> Code:
        """A part of an expression as a local variable."""
        local = free_name(wanted, {*self._names.values(), *self.functions.values()})
        self._names[f"{local} of {code.text}"] = local
        self._lines += statement(f"{local} = ", code)
        self.uses |= code.uses
        return name(local)

    def _settle(self, node_id: str) -> None:
        """Writes a waiting value down as a variable."""
        code = self._waiting.pop(node_id)
        if node_id not in self._documented:
            self._lines += comment(self.graph[node_id])
        self._write(f"{self._variable(node_id)} = ", code)

    def _input(self, node: Node) -> None:
        given = {
            "input.tokens": "np.asarray(input_ids)",
            "input.positions": "np.arange(len(input_ids)) if position_ids is None else np.asarray(position_ids)",
            "input.array": "np.asarray(x)",
        }
        self._lines.append(f"{' ' * INDENT}{self._variable(node.id)} = {given[node.op]}")

    def _child(self, child: Scope) -> None:
        """A call of another definition."""
        assert child.function is not None
        function = self.functions[child.function.name]
        code = self._fitted(child.takes, lambda reads: call(function, *reads))
        if len(child.gives) == 1:
            self._documented.add(child.gives[0])
            self._keep(self.graph[child.gives[0]], code)
        else:
            self._write(f"{', '.join(self._variable(n) for n in child.gives)} = ", code)

    def _node(self, node: Node) -> None:
        table = self.tables.get(node.id)
        if table is not None:
            code = self._fitted([table.source], lambda reads: allowed_by(self.scene, node, table, reads[0]))
        else:
            terms = node.attrs["terms"] if node.op == "symbolic.form" else ()
            classes = {node.inputs[source] for _, source, cls in terms if cls is not None}
            for i in classes & self._waiting.keys():
                self._settle(i)  # `seen[:, A]` reads better than a call with an index behind it
            build = operator if node.level is Level.TENSOR else _BUILD[node.op]
            code = self._fitted(node.inputs, lambda reads: build(self.scene, node, self._crossed(node, reads)))
            if node.op == "component.recurrent":
                code = self._with_step(node, code)
        self._keep(node, code)

    def _with_step(self, node: Node, code: Code) -> Code:
        """A recurrent layer with its step, defined before it under a name that is free."""
        step = free_name("step", {*self._names.values(), *self.functions.values()})
        self._names[f"step of {node.id}"] = step
        lines, uses = definition(node, step)
        self._lines += lines[1:] if self._lines and not self._lines[-1] else lines
        self.uses |= uses
        return code.with_item(0, Code(step)) if isinstance(code, Bracketed) else code

    def _crossed(self, node: Node, reads: Sequence[Code]) -> list[Code]:
        """Inputs with the batch axis where the node has one, and without it where it has none."""
        sources = [self.graph[i] for i in node.inputs]
        return [crossed(self.graph, s, code, node.level) for s, code in zip(sources, reads, strict=True)]

    def _fitted(self, sources: Sequence[str], build: Callable[[list[Code]], Code]) -> Code:
        """An expression of sources. What waits and makes it too long or too deep is written down before it."""
        while True:
            code = build([self._read(i) for i in sources])
            waiting = [i for i in dict.fromkeys(sources) if i in self._waiting]
            deepest, longest = (_DEEPEST, WIDTH - 2 * INDENT) if code.depth <= _DEEPEST else (_DEEPEST + 1, _SHORT)
            if not waiting or (code.depth <= deepest and len(code.text) <= longest):
                for i in waiting:
                    del self._waiting[i]
                return code
            self._settle(max(waiting, key=lambda i: (self._waiting[i].depth, len(self._waiting[i].text))))

    def _keep(self, node: Node, code: Code) -> None:
        """Lets a value wait for its only reader, or writes it down."""
        final = node.id in self.scope.gives
        self._waiting[node.id] = code
        once = self.scope.uses.get(node.id, 0) + final == 1
        unnamed = node.name is None or node.op in _PLAIN_SELECTORS
        if not final and self._is_only_preferred(node):
            del self._waiting[node.id]
            self._brief[node.id] = self.scene.words.category(node.type.of, node.attrs["value"])
        elif not final and unnamed and isinstance(code, Comparison) and not code.depth and len(code.text) <= _BRIEF:
            self._brief[node.id] = self._waiting.pop(node.id)
        elif node.op == "component.arange" or not (once and (final or unnamed)):
            self._settle(node.id)

    def _is_only_preferred(self, node: Node) -> bool:
        """Whether one category, the same everywhere, is read by nothing but choices: these take the category itself."""
        users = self.graph.users(node.id)
        return node.op == "symbolic.always" and all(u.op == "symbolic.prefer" for u in users)
