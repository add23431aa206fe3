"""The judge: every claim in turn, within a budget, and the verdict that follows from them by the stated rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from exegesis.behavior import Behavior, SequenceSplit, substance
from exegesis.evidence import (
    Attack,
    Claim,
    Figures,
    Finding,
    Measurement,
    Status,
    Verdict,
    VerdictRule,
    Witness,
    findings,
)
from exegesis.evidence.environment import peak_memory_mb, versions
from exegesis.ir import Graph, InputError
from exegesis.ir.progress import Progress, Silent
from exegesis.runtime import Network, load
from exegesis.store import RunFolder
from exegesis.verify.ablation import BREAKS, SURVIVES, Ablations
from exegesis.verify.agreement import Agreements, is_constant
from exegesis.verify.blind_spots import find_flaws
from exegesis.verify.budget import Budget, Deadline, seconds_of
from exegesis.verify.exhaustive import cover_domain, domain_claim, is_finite
from exegesis.verify.interchange import ASKED, Exchange
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.search import Attacker, Search, attack
from exegesis.verify.stability import Decompile, measure_stability
from exegesis.verify.witnesses import witnesses

SHARES: Mapping[str, float] = {
    "agreement": 0.2,
    "domain": 0.7,
    "interchange": 0.25,
    "ablation": 0.2,
    "attack": 0.2,
    "blind spots": 0.15,
}
"""Which share of the budget each stage may take at most. They overlap: what one leaves is there for the next."""


def verify(
    program: Judged | Graph | RunFolder | str | Path,
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    budget: str | float = "2m",
    seed: int = 0,
    progress: Progress | None = None,
    rule: VerdictRule | None = None,
    decompile: Decompile | None = None,
) -> Verdict:
    """Judges whether a program is the algorithm that a network runs on a behaviour.

    Args:
        program: a graph, or a run folder, of which nothing but the files is used.
        network: what it is judged against; a network, or what `load` makes one of.
        behavior: which inputs count, and how outputs are read; or the path of its file.
        budget: how long it may take, e.g. `"2m"` or seconds. Less time means fewer cases and a weaker status.
        seed: of everything that is drawn.
        progress: told what is running.
        rule: when the program holds; the default rule over the behaviour's held-out splits when None.
        decompile: decompiles the network again with another seed, for the claim of stability; None: that is not judged.

    Returns:
        The verdict. A check that could not run leaves it undecided, never true.

    Raises:
        InputError: program, network and behaviour do not fit each other, or one of them cannot be used.
    """
    judged = Judged.of(program)
    reference = Reference(
        network if isinstance(network, Network) else load(network),
        behavior if isinstance(behavior, Behavior) else Behavior.load(behavior),
        seed,
    )
    reference.check()
    reference.check_program(judged.graph)
    rule = rule or VerdictRule.for_splits(reference.behavior.splits)
    return Judge(judged, reference, rule, Budget(seconds_of(budget)), progress or Silent(), decompile).verdict()


def exit_code(verdict: Verdict) -> int:
    """0 where the program holds, 1 where it does not, 2 where that was not decided."""
    return {True: 0, False: 1, None: 2}[verdict.holds]


@dataclass(eq=False)
class Judge:
    """One judgement in progress.

    Attributes:
        program, reference, rule, budget, progress, decompile: as in `verify`.
        found: claims by the stage that made them.
        figures, witnesses, seconds: what was found so far.
        agreements, exchange, ablations: stages that can go on where claims are open; None before they ran.
    """

    program: Judged
    reference: Reference
    rule: VerdictRule
    budget: Budget
    progress: Progress
    decompile: Decompile | None = None
    found: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    witnesses: list[Witness] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    agreements: Agreements | None = None
    exchange: Exchange | None = None
    ablations: Ablations | None = None

    @property
    def claims(self) -> list[Claim]:
        """All claims so far, in the order of the stages."""
        return [claim for stage in self.found.values() for claim in stage]

    def verdict(self) -> Verdict:
        """Runs every stage that there is time for."""
        began = time.perf_counter()
        for _, run in self._stages():
            run()
        if self.reference.behavior.is_sequence:
            self._stage("blind spots", self._flaws)
        if self.decompile is not None:
            self._stage("stability", self._stability)
        self.witnesses.sort(key=lambda w: (-w.surprise, w.input_ids))
        network = self.reference.network
        return Verdict.of(
            self.claims,
            self._figures(time.perf_counter() - began),
            self.rule,
            witnesses=self.witnesses,
            network=f"{network.name} {network.fingerprint[:16]}",
            budget_seconds=self.budget.seconds,
        )

    def first_failure(self) -> str:
        """Runs one stage after the other until the program is found not to hold; the name of that stage, or nothing."""
        for name, run in self._stages():
            run()
            if self.refuted:
                return name
        return ""

    @property
    def refuted(self) -> bool:
        """Whether the program is known not to hold."""
        return any(finding.met is False for finding in self.findings())

    def findings(self) -> tuple[Finding, ...]:
        """What the rule says of what was found so far."""
        return findings(self.claims, self._figures(), self.rule)

    def _stages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """The stages that judge the program, in order."""
        yield "agreement", self._agreement
        if self.reference.behavior.is_sequence and is_finite(self.reference):
            yield "domain", lambda: self._stage("domain", self._domain)
        if self._opened():
            yield "interchange", lambda: self._stage("interchange", self._interchange)
            yield "ablation", lambda: self._stage("ablation", self._ablation)
            if self.reference.behavior.is_sequence:
                yield "attack", lambda: self._stage("attack", self._attack)
            yield "open claims", self._reopen

    def _figures(self, seconds: float | None = None) -> Figures:
        return Figures(
            **self.figures,
            **self.program.sizes(),
            seconds=seconds,
            peak_memory_mb=peak_memory_mb(),
            stage_seconds=self.seconds,
            seed=self.reference.seed,
            versions=versions(),
        )

    def _stage(self, name: str, run: Callable[[Deadline], str]) -> None:
        """Runs a stage where there is time left for it."""
        if self.budget.whole.over:
            return
        with self._timed(name) as notes:
            notes.append(run(self.budget.part(SHARES.get(name, 1.0))))

    @contextmanager
    def _timed(self, name: str) -> Iterator[list[str]]:
        notes: list[str] = []
        began = time.perf_counter()
        self.progress.pass_started(name)
        yield notes
        self.seconds[name] = time.perf_counter() - began
        self.progress.pass_done(name, "; ".join(notes))

    def _agreement(self) -> None:
        """Always runs."""
        self.agreements = Agreements(self.program, self.reference, self.rule.agreement)
        with self._timed("agreement") as notes:
            self.agreements.run(self.budget.part(SHARES["agreement"]), self.progress)
            notes.append(self._agreed(self.agreements))
        bits, accuracy = substance(self.reference.behavior, self.reference.answers, self.reference.seed)
        constant = is_constant(self.program, self.reference)
        self.figures |= {"constant": constant, "answer_bits": bits, "task_accuracy": accuracy}

    def _agreed(self, agreements: Agreements) -> str:
        found = agreements.found
        self.found["agreement"] = agreements.claims()
        self.figures |= {
            "agreement": {name: a.over_answers for name, a in found.items()},
            "sequences_exact": {name: a.over_inputs for name, a in found.items()},
            "agreement_beyond": {name: a.beyond for name, a in found.items() if a.beyond is not None},
        }
        return ", ".join(f"{name} {a.over_answers.value:.4f}" for name, a in found.items())

    def _domain(self, deadline: Deadline) -> str:
        coverage = cover_domain(self.program, self.reference, deadline, self.progress)
        claim = domain_claim(coverage, self.reference.seed)
        self.found["domain"] = (claim,)
        self.figures["domain_chunk"] = coverage.chunk
        return f"{claim.status.value}, {coverage.checked} of {coverage.size}, {coverage.per_second:.0f} per second"

    def _opened(self) -> bool:
        """Whether torch.export can open the network; where it cannot, what needs that stays undecided."""
        try:
            with self._timed("export") as notes:
                notes.append(f"{len(self.reference.exported.values)} values")
        except InputError as error:
            statement = "The program's variables live in the network where it says."
            domain = f"not checked: {error}"
            self.found["export"] = (Claim(statement=statement, domain=domain, status=Status.CONJECTURED),)
            return False
        return True

    def _split(self) -> str:
        """Where pairs of inputs come from: the test split, or the first with several inputs of one length."""
        behavior = self.reference.behavior
        names = sorted(behavior.splits, key=lambda name: (name != "test", name == "train"))
        for name in names:
            split = behavior.split(name)
            if not isinstance(split, SequenceSplit) or len(set(split.lengths.tolist())) < len(split):
                return name
        return names[0]

    def _interchange(self, deadline: Deadline) -> str:
        asked = self.rule.interchange or ASKED
        self.exchange = Exchange(self.program, self.reference, self._split(), asked)
        self.exchange.run(deadline, self.progress)
        return self._exchanged(self.exchange)

    def _exchanged(self, exchange: Exchange) -> str:
        found = exchange.concluded()
        self.found["interchange"] = found.claims
        self.figures |= {
            "interchange": found.whole,
            "interchange_one_position": found.one_position,
            "interchange_between": found.between,
            "interchange_unchanged": found.unchanged,
            "joint_interchange": found.joint,
            "without_alignment": found.without_alignment,
        }
        return "no pairs" if found.joint is None else f"joint accuracy {found.joint.value:.4f}, n = {found.joint.n}"

    def _ablation(self, deadline: Deadline) -> str:
        survives, breaks = self.rule.sufficiency or SURVIVES, self.rule.necessity or BREAKS
        constant = self.figures["constant"] is True
        self.ablations = Ablations(self.program, self.reference, self._split(), survives, breaks, uses_nothing=constant)
        self.ablations.run(deadline, self.progress)
        return self._ablated(self.ablations)

    def _ablated(self, ablations: Ablations) -> str:
        found = ablations.concluded()
        self.found["ablation"] = found.claims
        self.figures |= {
            "sufficiency": found.sufficiency,
            "necessity": found.necessity,
            "parts_unused": found.unused,
        }
        figures = {**found.sufficiency, **found.necessity}
        return ", ".join(f"{name} {m.value:.3f}" for name, m in figures.items())

    def _reopen(self) -> None:
        """Gives the time that is left to the claims that are open."""
        stages = [s for s in (self.agreements, self.exchange, self.ablations) if s is not None]
        still = [s for s in stages if s.seconds_to_decide() != 0]
        if still and not self.refuted:
            self._stage("open claims", lambda deadline: self._go_on(still, deadline))
        needed = [s.seconds_to_decide() for s in stages]
        self.figures["seconds_to_decide"] = None if None in needed else sum(n or 0.0 for n in needed) or None

    def _go_on(self, stages: Sequence[Agreements | Exchange | Ablations], deadline: Deadline) -> str:
        told = []
        for number, stage in enumerate(stages):
            stage.run(deadline.first(1 / (len(stages) - number)), self.progress)
            match stage:
                case Agreements():
                    told.append(self._agreed(stage))
                case Exchange():
                    told.append(self._exchanged(stage))
                case Ablations():
                    told.append(self._ablated(stage))
        return "; ".join(told)

    def _attack(self, deadline: Deadline) -> str:
        attacker = Attacker(self.program, self.reference)
        proved = any(c.status is Status.PROVED for c in self.claims)
        if proved and attacker.space.closed:
            return "nothing to attack: proved on the whole domain"
        search = attack(attacker, self._split(), deadline, self.progress)
        found = witnesses(attacker, search, deadline)
        self.witnesses += found
        self.found["attack"] = (_attack_claim(attacker, search, found),)
        self.figures["attack"] = Attack(
            queries=search.queries, restarts=search.restarts, found=len(search.found), worst_margin=search.worst_margin
        )
        return f"{len(search.found)} found in {search.queries} queries"

    def _flaws(self, deadline: Deadline) -> str:
        found = find_flaws(self.reference, deadline, self.progress)
        self.found["blind spots"] = tuple(found.claims)
        self.witnesses += found.witnesses
        return f"{len(found.witnesses)} found in {found.queries} queries"

    def _stability(self, deadline: Deadline) -> str:
        assert self.decompile is not None
        figures, claim = measure_stability(self.program.graph, self.decompile, [self.reference.seed + 1])
        self.figures["stability"] = figures
        self.found["stability"] = (claim,)
        return f"overlap {figures['parts'].value:.3f}"


def _attack_claim(attacker: Attacker, search: Search, found: list[Witness]) -> Claim:
    """On a closed domain every difference is a counterexample; elsewhere inputs are found that nobody asks about."""
    closed = attacker.space.closed
    differing = len(search.found)
    measured = Measurement(
        metric="share of the attack's restarts and probes that end without a difference",
        value=1 - min(1.0, differing / max(1, search.restarts + search.probes)),
        n=max(1, search.restarts + search.probes),
        seed=attacker.reference.seed,
        note=f"{search.queries} queries, {search.restarts} restarts, {search.probes} probes",
    )
    domain = "the behaviour's domain" if closed else "inputs like those of the splits, with any letters"
    shown = found[0] if found else None
    return Claim(
        statement="An adversarial search finds no input on which program and network differ.",
        domain=domain,
        status=Status.REFUTED if shown else Status.ATTACKED,
        evidence=(measured,),
        witness=shown.model_dump(mode="json") if shown else None,
        seed=attacker.reference.seed,
        about="behavior" if closed else "beyond",
    )
