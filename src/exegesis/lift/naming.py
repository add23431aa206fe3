"""Names for the parts of a lifted program, from their place on the residual stream: never from the names of modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exegesis.lift.affine import step
from exegesis.lift.bench import Bench, Cell

_SELECTED = ("component.pick", "component.scale")


@dataclass
class Block:
    """An attention or an MLP, in the order of the computation.

    Attributes:
        kind: `attn` or `mlp`.
        layer: which layer it belongs to.
        parts: its cells by what they are in it (`q`, `scores`, `in`, `out` …).
    """

    kind: str
    at: int
    layer: int = 0
    parts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """A readable id for cells that have one, and the role of each linear layer."""

    ids: Mapping[str, str]
    linears: Mapping[str, str]


def name_cells(bench: Bench) -> Names:
    """Names every component; tensor-level cells keep the names of the export."""
    blocks = _blocks(bench)
    taken = {c.id: c.id for c in bench.inputs}

    def claim(cell_id: str | None, name: str) -> None:
        if cell_id is None or cell_id in taken:
            return
        used, candidate, number = set(taken.values()), name, 2
        while candidate in used:
            candidate, number = f"{name}_{number}", number + 1
        taken[cell_id] = candidate

    linears = _linear_roles(bench, blocks)
    unembed = next((i for i, role in linears.items() if role == "unembed"), None)
    claim(unembed, "logits")
    for block in blocks:
        for part, cell_id in block.parts.items():
            claim(cell_id, f"head.{part}" if block.kind == "head" else f"L{block.layer}.{block.kind}.{part}")
    owners = {cell_id: block for block in blocks for cell_id in block.parts.values()}
    for cell in bench.cells():
        if cell.op == "component.norm":
            claim(cell.id, _norm_name(bench, cell, owners, unembed))
        elif cell.by == "lift.recurrent" and cell.is_component:
            claim(cell.id, cell.id.split("~")[0])
        elif cell.op == "component.add":
            claim(cell.id, _sum_name(bench, cell, blocks, owners))
        elif cell.op == "component.embed":
            claim(cell.id, "embed" if bench[cell.inputs[0]].id == "tokens" else _embed_name(bench, cell))
        elif cell.is_component:
            claim(cell.id, _PLAIN.get(cell.name, cell.name))
        else:
            claim(cell.id, cell.id.split("~")[0])
    return Names(taken, linears)


_PLAIN = {
    "conv2d": "conv",
    "pool2d": "pool",
    "activation": "act",
    "linear": "dense",
    "arange": "positions",
    "constant": "bias",
}


def _blocks(bench: Bench) -> list[Block]:
    """Attentions and MLPs in order, each with its layer."""
    order = bench.positions()
    attentions: dict[int, Block] = {}
    for cell in bench.cells():
        if cell.role is not None and cell.is_component:
            part, index = cell.role
            block = attentions.setdefault(index, Block("attn", order[cell.id]))
            name, number = part, 2
            while name in block.parts:
                name, number = f"{part}{number}", number + 1
            block.parts[name] = cell.id
            if part == "pattern":
                block.at = order[cell.id]
    blocks = sorted([*attentions.values(), *_mlps(bench, order)], key=lambda b: b.at)
    layer, here = -1, list[Block]()
    for block in blocks:
        if layer < 0 or _opens_layer(bench, block, here):
            layer, here = layer + 1, []
        block.layer = layer
        here.append(block)
    return blocks


def _opens_layer(bench: Bench, block: Block, here: list[Block]) -> bool:
    """Whether the layer has such a block already, or an attention reads what the MLP of the layer wrote."""
    if any(b.kind == block.kind for b in here):
        return True
    if block.kind != "attn":
        return False
    behind = bench.upstream([block.parts["pattern"]])
    return any(b.parts["act"] in behind for b in here)


def _mlps(bench: Bench, order: Mapping[str, int]) -> list[Block]:
    """An activation between linear layers; in a network without embeddings or attention these are just layers."""
    attends = any(c.op == "component.softmax" for c in bench.cells())
    if not attends and not any(c.op == "component.embed" for c in bench.cells()):
        return []
    found = []
    for act in (c for c in bench.cells() if c.op == "component.activation"):
        before = bench[act.inputs[0]]
        if before.op != "component.linear":
            continue
        block = Block("mlp", order[act.id], parts={"in": before.id, "act": act.id})
        after = bench.users(act.id)
        gate = next((u for u in after if u.op == "component.gate"), None)
        if gate is not None:
            other = next((i for i in gate.inputs if i != act.id), None)
            block.parts = {"gate": before.id, "act": act.id, "gated": gate.id} | ({"in": other} if other else {})
            after = bench.users(gate.id)
        out = [u for u in after if u.op == "component.linear"]
        if len(out) == 1:
            block.parts["out"] = out[0].id
        found.append(block)
    if attends:
        for block in found:
            last = list(block.parts.values())[-1]
            block.kind = "mlp" if _joins_stream(bench, last) else "head"
    return found


def _joins_stream(bench: Bench, cell_id: str) -> bool:
    """Whether a value is added to others, perhaps normed or scaled on the way."""
    users = bench.users(cell_id)
    passed = [v for u in users if u.op in ("component.norm", "component.scale") for v in bench.users(u.id)]
    return any(u.op == "component.add" for u in (*users, *passed))


def _linear_roles(bench: Bench, blocks: list[Block]) -> dict[str, str]:
    roles = {c.id: "dense" for c in bench.cells() if c.op == "component.linear"}
    for block in blocks:
        if block.kind == "mlp":
            roles |= {block.parts[p]: f"mlp_{p}" for p in ("in", "gate", "out") if p in block.parts}
    last = bench[bench.output]
    while last.target is not None and len(last.inputs) >= 1 and last.op != "component.linear":
        last = bench[last.inputs[0]]  # layouts after the last layer
    if last.op == "component.linear":
        roles[last.id] = "unembed"
        for block in blocks:
            block.parts = {k: v for k, v in block.parts.items() if v != last.id}
    return roles


def _norm_name(bench: Bench, cell: Cell, owners: Mapping[str, Block], unembed: str | None) -> str:
    """A norm is named after who reads it first; one that reads what a block wrote, after the block."""
    readers = [u for u in bench.users(cell.id) if u.id in owners]
    for part, name in (("attn", "ln1"), ("mlp", "ln2")):
        first = next((owners[u.id] for u in readers if owners[u.id].kind == part), None)
        if first is not None:
            return f"L{first.layer}.{name}"
    source = cell.inputs[0]
    while source not in owners and (one := step(bench, source)) is not None and one.kind == "layout":
        source = one.source  # heads may be laid out otherwise before they are normed
    if source in owners:
        block = owners[source]
        part = next(p for p, i in block.parts.items() if i == source)
        return f"head.{part}_norm" if block.kind == "head" else f"L{block.layer}.{block.kind}.{part}_norm"
    return "ln_final" if _is_last(bench, cell, owners, unembed) else "norm"


def _is_last(bench: Bench, cell: Cell, owners: Mapping[str, Block], unembed: str | None) -> bool:
    """Whether what follows is the output, the unembedding or the head, perhaps after the choice of a position."""
    current = cell
    while current.id != bench.output:
        users = bench.users(current.id)
        if any(u.id == unembed or (u.id in owners and owners[u.id].kind == "head") for u in users):
            return True
        if len(users) != 1 or users[0].op not in _SELECTED:
            return False
        current = users[0]
    return True


def _sum_name(bench: Bench, cell: Cell, blocks: list[Block], owners: Mapping[str, Block]) -> str:
    """A sum is named after the last block that writes into it."""
    written = [owners[i] for i in _behind(bench, cell) if i in owners]
    if not written:
        return "L0.resid_pre" if blocks else "sum"
    last = max(written, key=lambda b: b.at)
    has_mlp_after = any(b.kind == "mlp" and b.layer == last.layer and b.at > last.at for b in blocks)
    return f"L{last.layer}.resid_mid" if last.kind == "attn" and has_mlp_after else f"L{last.layer}.resid_post"


def _behind(bench: Bench, cell: Cell) -> list[str]:
    """The writers of a sum, looking through a norm that a block's output passes on its way."""
    found = []
    for writer in cell.inputs:
        source = bench[writer]
        found.append(source.inputs[0] if source.op in ("component.norm", "component.scale") else writer)
    return found


def _embed_name(bench: Bench, cell: Cell) -> str:
    ids = bench[cell.inputs[0]]
    counted = ids.op == "component.arange" or bench.data(ids.id) <= {"positions"}
    return "pos_embed" if counted else "embed"
