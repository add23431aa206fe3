"""Behaviours: the signal a decompilation is relative to. NumPy only."""

from exegesis.behavior.accuracy import task_accuracy
from exegesis.behavior.arrays import ArrayBatch, ArrayInput, ArraySplit
from exegesis.behavior.behavior import Behavior
from exegesis.behavior.counterfactual import CounterfactualPairs, counterfactual_pairs, domain_split, probe_strings
from exegesis.behavior.domain import DatasetDomain, Domain, ProductDomain, SamplerDomain, StringsDomain
from exegesis.behavior.information import accuracy_of, answer_bits, substance
from exegesis.behavior.readout import Answers, Argmax, Entry, Readout, Sign, Value
from exegesis.behavior.sequences import SequenceBatch, SequenceRow, SequenceSplit, TokenSets
from exegesis.behavior.splits import Batch, Split, Splits
from exegesis.behavior.vocabulary import Vocabulary

__all__ = [
    "Answers",
    "Argmax",
    "ArrayBatch",
    "ArrayInput",
    "ArraySplit",
    "Batch",
    "Behavior",
    "CounterfactualPairs",
    "DatasetDomain",
    "Domain",
    "Entry",
    "ProductDomain",
    "Readout",
    "SamplerDomain",
    "SequenceBatch",
    "SequenceRow",
    "SequenceSplit",
    "Sign",
    "Split",
    "Splits",
    "StringsDomain",
    "TokenSets",
    "Value",
    "Vocabulary",
    "accuracy_of",
    "answer_bits",
    "counterfactual_pairs",
    "domain_split",
    "probe_strings",
    "substance",
    "task_accuracy",
]
