"""Parts of a program (of a run, or of a network as lifted) explained as layers of a network are: what excites them,
and rows that show what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from exegesis.behavior import Behavior
from exegesis.explain.checks import CHECKS, Checker
from exegesis.explain.examples import StringExamples, UnitExamples, string_examples, unit_examples
from exegesis.explain.examples.selection import activations
from exegesis.explain.features import Climb, Feature, Layer, Wanted, strongest_strings, visualise
from exegesis.explain.inputs import read_inputs
from exegesis.explain.model import Model, NetworkModel
from exegesis.explain.parts import Member, Part, ProgramModule, TokenProgram, part_of, program_parts
from exegesis.explain.saliency import Method
from exegesis.explain.saliency import method as method_of
from exegesis.explain.saliency.attribution import Attribution
from exegesis.explain.saliency.attribution import saliency as attributed
from exegesis.explain.saliency.method import UndefinedMethodError
from exegesis.explain.target import Distance, Explained, TargetError, Unit
from exegesis.ir import Graph, InputError, graph_record
from exegesis.ir.archive import load_graph
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Network
from exegesis.store import digest_arrays, digest_json
from exegesis.store.files import read_json_object

Source: TypeAlias = Network | nn.Module | str | Path
FEW = 8  # units of a part that are explained unless told
MANY = 600  # rows on which the spread of a part's units is measured


@dataclass(frozen=True, eq=False)
class PartOf:
    """A part of a program, ready to be explained on a behaviour.

    Attributes:
        subject: the program, of a run or of a network as lifted, and the behaviour.
        part: the part.
        whole: explain it as one by default, not unit by unit: modules and heads.
    """

    subject: Subject
    part: Part
    whole: bool

    @cached_property
    def network(self) -> Network:
        """The program over arrays as a network, the part a layer of it."""
        return Network(ProgramModule(self.subject.graph, [self.part]), self.subject.name)

    @cached_property
    def model(self) -> TokenProgram:
        """The part of a program over tokens."""
        record, arrays = graph_record(self.subject.graph)
        fingerprint = digest_json([record, digest_arrays(arrays)])
        return TokenProgram(self.subject.graph, self.part, self.subject.name, fingerprint)

    def up_to(self, model: Model) -> Graph:
        """The program up to the part, with the weights that the model has. Raises UndefinedMethodError where that is no
        value of the program."""
        member = self.part.members[0]
        if len(self.part.members) > 1 or member.units is not None or member.head is not None:
            raise UndefinedMethodError(f"{self.part.name} is no single value of the program, so none leads to it.")
        if isinstance(model, NetworkModel) and isinstance(module := model.network.module, ProgramModule):
            return module.program(model.weights, member.node)
        return replace(self.subject.graph, outputs=(member.node,), functions=())

    @cached_property
    def width(self) -> int:
        """How many units it has."""
        behavior = self.subject.behavior
        if not behavior.is_sequence:
            one = torch.from_numpy(behavior.arrays(self.subject.split).take(1, 0).x)
            return Layer(self.network, self.part.key).width(one)
        inputs = read_inputs(behavior, self.subject.split, [0])[0]
        return int(self.model(self.model.start(inputs), inputs, torch.arange(1)).shape[-1])

    def chosen(self, units: Sequence[int] | None) -> list[int] | None:
        """The units in question; None for all together. Raises TargetError where one does not exist."""
        if units is None:
            return None if self.whole else list(range(min(FEW, self.width)))
        for unit in units:
            if not 0 <= unit < self.width:
                raise TargetError(f"{self.part.name} has {self.width} units, counted from 0; there is no unit {unit}.")
        return list(units)

    def called(self, unit: int) -> str:
        """What a unit of it is called."""
        return self.part.name if self.width == 1 else f"{self.part.name} {self.part.label(unit)}"

    def wanted(self, units: Sequence[int] | None) -> Wanted:
        """Units of a part over arrays, or all of it together: each counts in its own standard deviations."""
        chosen = self.chosen(units)
        if chosen is not None:
            return Wanted(torch.eye(self.width)[chosen], tuple(self.called(unit) for unit in chosen))
        x = torch.from_numpy(self.subject.arrays(MANY, 0).x)
        every = activations(Layer(self.network, self.part.key), Wanted(torch.eye(self.width), ("",) * self.width), x)
        spread = every.std(0)
        weights = torch.where(spread > 0, 1 / spread.clamp_min(1e-12), 0.0) / self.width
        return Wanted(weights[None], (self.part.name,))

    def explained(self, units: Sequence[int] | None, position: int | None) -> list[tuple[str, Explained]]:
        """Units of a part over tokens with their names, or how far all of it together lies from its mean."""
        place = _place(position)
        chosen = self.chosen(units)
        if chosen is None:
            return [(self.part.name, Distance(place))]
        return [(self.called(unit), Unit(unit, place)) for unit in chosen]


def part_of_program(
    network: Source, behavior: Behavior | str | Path, name: str, *, modules: Path | None = None, seed: int = 0
) -> PartOf:
    """A part of the program of a run, or of the exact program of a network.

    Args:
        network: a run folder, or what `load` takes.
        behavior: where inputs come from.
        name: a function, a variable, a head (`L0H1`), or its number among them.
        modules: what `exegesis modules --out` wrote; then `name` is one of its modules.
        seed: of the comparison that certifies the lift.

    Raises:
        InputError: no such part (the sentence lists those that there are), or a file that says something else.
    """
    if modules is not None:
        there = subject(network, behavior, seed=seed)  # of a run with its layers whole, as `exegesis modules` saw them
        return PartOf(there, part_of(_modules(modules, there.graph), name), True)
    there = _subject(network, behavior, seed)
    part = part_of(program_parts(there.graph), name)
    return PartOf(there, part, part.members[0].head is not None)


def _subject(network: Source, behavior: Behavior | str | Path, seed: int) -> Subject:
    """The program of a run as it is, at whatever level; a network as lifted."""
    if not (isinstance(network, str | Path) and (Path(network) / "program.json").is_file()):
        return subject(network, behavior, seed=seed)
    signal = behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
    split = "test" if "test" in signal.splits else next(iter(signal.splits))
    return Subject(Path(network).name, load_graph(Path(network)), signal, split)


def _modules(path: Path, graph: Graph) -> list[Part]:
    """The modules that a file of `exegesis modules` lists, as parts of a program."""
    listed, found = read_json_object(path).get("modules"), []
    if not isinstance(listed, list):
        raise InputError(f"{path} is not what `exegesis modules --out` writes.")
    for module in listed:
        try:
            number = str(module["module"]).removeprefix("module ")
            units = {str(layer): tuple(map(int, own)) for layer, own in module["units"].items() if own}
            also = (str(module["module"]), *([str(module["name"])] if module.get("name") else []))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{path} is not what `exegesis modules --out` writes.") from None
        if lost := [layer for layer in units if layer not in graph.by_id]:
            raise InputError(f"The program has no layer {lost[0]!r}, of which {path} speaks.")
        if units:
            members = tuple(Member(layer, own) for layer, own in units.items())
            labels = tuple(f"{layer} {unit}" for layer, own in units.items() for unit in own)
            found.append(Part(f"module {number}", members, (number, *also), labels))
    return found


def features_of_part(
    part: PartOf,
    units: Sequence[int] | None = None,
    *,
    position: int | None = None,
    climb: Climb | None = None,
    seed: int = 0,
) -> tuple[Feature, ...]:
    """What excites a part of a program: images, or strings of letters.

    Args:
        part: see `part_of_program`.
        units: which of its units; None for the first few, or for all together where it is a module or a head.
        position: where in a sequence, negative from its end; None for the mean over all positions.
        climb: how images are optimised.
        seed: of everything drawn.
    """
    behavior = part.subject.behavior
    if behavior.is_sequence:
        asked = part.explained(units, position)
        return strongest_strings(part.model, behavior, asked, seed=seed)
    _no_position(position)
    return visualise(part.network, behavior, part.part.key, part.wanted(units), climb=climb, seed=seed)


def examples_of_part(
    part: PartOf, units: Sequence[int] | None = None, *, position: int | None = None, seed: int = 0
) -> tuple[UnitExamples | StringExamples, ...]:
    """Rows of the first split that show what a part of a program does; arguments as for `features_of_part`."""
    behavior = part.subject.behavior
    if behavior.is_sequence:
        asked = part.explained(units, position)
        return tuple(string_examples(part.model, behavior, what, name=name, seed=seed) for name, what in asked)
    _no_position(position)
    split = next(iter(behavior.splits))
    return unit_examples(part.network, behavior, part.part.key, part.wanted(units), split=split, seed=seed)


def saliency_of_part(
    part: PartOf,
    method: Method | str = "integrated-gradients",
    unit: int | None = None,
    *,
    split: str = "test",
    index: Sequence[int] | range | None = None,
    position: int | None = None,
    checks: Sequence[Checker] = CHECKS,
    chunk: int | None = None,
    seed: int = 0,
) -> Attribution:
    """What each part of some inputs does for a part of a program.

    Args:
        part: see `part_of_program`.
        method: a method, or its name; methods that follow a program follow it up to the part.
        unit: which of its units; None for its only one, or for how far all of it together lies from its mean.
        split, index: which rows; the first 16 unless told.
        position: where in a sequence, negative from its end; None for the mean over all positions.
        checks: what to test it by; those that retrain are undefined.
        chunk: how many rows go through at a time; None to measure what is best.
        seed: of everything drawn.

    Raises:
        InputError: a unit, row or position that does not exist, or a method that is undefined there.
    """
    behavior = part.subject.behavior
    tokens = behavior.is_sequence
    if not tokens:
        _no_position(position)
    alone = 0 if unit is None and part.width == 1 else unit
    ((_, asked),) = part.explained([alone], position) if alone is not None else [("", Distance(_place(position)))]
    return attributed(
        part.model if tokens else part.network,
        behavior,
        method_of(method) if isinstance(method, str) else method,
        split=split,
        index=index,
        target=asked,
        layer=None if tokens else part.part.key,
        checks=checks,
        seed=seed,
        chunk=chunk,
        lift=part.up_to,
    )


def _place(position: int | None) -> tuple[int] | None:
    return None if position is None else (position,)


def _no_position(position: int | None) -> None:
    if position is not None:
        raise InputError(f"There is no position {position}: the program reads arrays, not sequences.")
