"""The language of programs: one immutable graph type, three levels, an executable specification. Never reaches torch."""

from exegesis.ir.errors import ExegesisError, GraphError, InputError
from exegesis.ir.graph import Array, Axis, Function, Graph, Json, Level, Node, Origin, Site, Type
from exegesis.ir.spec import OpSpec, check, describe

__all__ = [
    "Array",
    "Axis",
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
    "Site",
    "Type",
    "check",
    "describe",
]
