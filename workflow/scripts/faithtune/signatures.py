"""Signatures of a workflow's functions, told to Snakemake once.

It looks up which arguments a function takes (`inspect.signature`) for each job
anew, which is a seventh of the time that planning 10,000 jobs takes.
"""

import inspect
from collections.abc import Iterable

from snakemake.common import overwrite_function_params
from snakemake.resources import Resource
from snakemake.rules import Rule


def tell(rules: Iterable[Rule]) -> None:
    """Tell the signatures of all functions behind the rules' inputs, params and resources."""
    functions = {Resource.evaluate}
    for rule in rules:
        # Where Snakemake keeps a resource's function elsewhere, it only plans at its usual pace.
        evaluators = [getattr(resource, "_evaluator", None) for resource in rule.resources.values()]
        asked = (getattr(each, "callable", each) for each in [*rule.input, *rule.params, *evaluators])
        functions.update(filter(inspect.isfunction, asked))
    for function in functions:
        overwrite_function_params(function, inspect.signature(function).parameters)
