"""Modules of a network: graphs of units, clusters, nulls, and what becomes of the behaviour without a module."""

from exegesis.measure.modularity.communities import Communities, communities, compared_communities
from exegesis.measure.modularity.graphs import Block, Layer, ModularityError, UnitGraph
from exegesis.measure.modularity.nulls import AtK, CutTest, Null, compared, cut_test, null_graph
from exegesis.measure.modularity.spectral import Partition, ncuts, partitions, spectrum
from exegesis.measure.modularity.wiring import (
    Tie,
    Wiring,
    attribution_graph,
    by_unit,
    correlation_graph,
    shuffled,
    wiring,
)

__all__ = [
    "AtK",
    "Block",
    "Communities",
    "CutTest",
    "Layer",
    "ModularityError",
    "Null",
    "Partition",
    "Tie",
    "UnitGraph",
    "Wiring",
    "attribution_graph",
    "by_unit",
    "communities",
    "compared",
    "compared_communities",
    "correlation_graph",
    "cut_test",
    "ncuts",
    "null_graph",
    "partitions",
    "shuffled",
    "spectrum",
    "wiring",
]
