"""The language of programs: one immutable graph type, three levels, an executable specification. Never needs torch."""

from exegesis.ir.archive import load_graph, save_graph
from exegesis.ir.diff import Diff, diff
from exegesis.ir.errors import ExegesisError, GraphError, InputError
from exegesis.ir.graph import Array, Axis, Function, Graph, Json, Level, Node, Origin, Site, Type
from exegesis.ir.pretty import pretty
from exegesis.ir.price import Bits, Price, legible_share, price
from exegesis.ir.records import graph_from_record, graph_record
from exegesis.ir.spec import OpSpec, check, describe

__all__ = [
    "Array",
    "Axis",
    "Bits",
    "Diff",
    "ExegesisError",
    "Function",
    "Graph",
    "GraphError",
    "InputError",
    "Json",
    "Level",
    "Node",
    "OpSpec",
    "Origin",
    "Price",
    "Site",
    "Type",
    "check",
    "describe",
    "diff",
    "graph_from_record",
    "graph_record",
    "legible_share",
    "load_graph",
    "pretty",
    "price",
    "save_graph",
]
