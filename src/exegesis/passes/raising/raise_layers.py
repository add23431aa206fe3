"""Raises what can be read exactly, layer by layer: hard heads become selectors, MLPs over finite variables expressions.

What: walks through the network in the order of computation and keeps a list of variables that are known at every
position: tokens, positions, and whatever heads and MLPs were found to compute. Each head and each group of neurons is
described in terms of those before it, and replaced.
Why valid: a head's selector is its attention, a group's table what it writes, and every answer on the bench stays.
Refuses when: nothing is that exact, as in most trained networks; what is left alone is for the passes that follow.
Guarantee: statistical (agreement on the bench).
Example: a compiled network that reverses its input has `length` in the MLP of its first layer, `length - place` in
those of the next two, and a head that looks where the place is that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exegesis.ir import Graph, Level
from exegesis.passes.manager import Guarantee, Outcome, Setting
from exegesis.passes.raising.head_view import SEQUENCE
from exegesis.passes.raising.heads import attention_blocks
from exegesis.passes.raising.neurons import mlps
from exegesis.passes.raising.raise_answers import raise_answer
from exegesis.passes.raising.raise_hard_heads import raise_block
from exegesis.passes.raising.raise_mlps import raise_mlp
from exegesis.passes.raising.workbench import Workbench

NAME = "raise_layers"


@dataclass(frozen=True)
class RaiseLayers:
    """No settings: every answer must stay as it is."""

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A token input and something to raise."""
        if not any(n.op == "input.tokens" for n in graph.inputs):
            return "the network reads no tokens"
        if any(attention_blocks(graph)) or any(mlps(graph)):
            return None
        return "no attention block and no MLP was recognised"

    def ensures(self, graph: Graph) -> str | None:
        """Whatever is offered beside the network's output is a symbolic variable."""
        wrong = [o for o in graph.outputs[1:] if graph[o].level is not Level.SYMBOLIC]
        return f"{wrong[0]} is offered, but is not symbolic" if wrong else None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with every head and every group of neurons replaced that could be read exactly."""
        work = self.read(graph, setting)
        if (answer := raise_answer(work, setting.readout)) is not None:
            work.note("answer", f"{answer} gives every answer", applied=True)
            outputs: tuple[str, ...] = (answer,)
        else:
            outputs = (work.graph.outputs[0], *(o for o in work.graph.outputs[1:] if _is_for_readouts(work.graph, o)))
        return Outcome(replace(work.graph, outputs=outputs).pruned(), tuple(work.attempts))

    def read(self, graph: Graph, setting: Setting) -> Workbench:
        """Everything that could be read, also what the answer turns out not to need."""
        work = Workbench.on(graph, setting.fit, NAME, setting.seed)
        blocks = {b.write for b in attention_blocks(graph)}
        found = {m.out: m for m in mlps(graph)}
        for node in graph.nodes:
            if node.id in blocks:
                raise_block(work, node.id)
            if node.id in found:
                raise_mlp(work, found[node.id])
        return work


def _is_for_readouts(graph: Graph, variable: str) -> bool:
    """Whether the passes that follow can build an answer on a variable: a category, or a number per class."""
    node = graph[variable]
    classes = node.type.kind == "real" and len(node.type.axes) > len(SEQUENCE)
    return node.level is Level.SYMBOLIC and (node.type.kind == "category" or classes)
