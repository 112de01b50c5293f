"""Forecasts the calls of an arm's stages, and their cost, before anything is spent.

Runs the stages themselves with a `DryRunArm`, which counts every prompt and takes stored rows from the row store. So
the calls counted are the calls that will be made. Texts that do not exist yet are assumed:

    a chain                       STEPS steps of STEP_TOKENS tokens each
    a rewritten step              as long as the arm's steps; the first attempt passes
    the rest of a chain           half a chain
    an answer in text             ANSWER_TOKENS tokens, and it can be read

The arm's own chains, rewritten steps and rests replace these as soon as their files exist.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from faithtune.arms import answers, chains, first_rows
from faithtune.arms.blocks import Block
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES
from faithtune.data import forms
from faithtune.hosts.spend import prices
from faithtune.interventions import build, regeneration, rewriting
from faithtune.interventions.registry import NEEDED_BY, REGENERATED, REWRITING, TESTS
from faithtune.models import token_counts
from faithtune.settings.configuration import Configuration
from faithtune.settings.interventions import InterventionSettings
from faithtune.settings.tunings import HostedTraining
from faithtune.study.forecast.dry_run import DryRunArm, HostedArm
from faithtune.tuning import hosted

STEPS = 6
STEP_TOKENS = 30
ANSWER_TOKENS = 4

_SCHEMAS = {"paraphrases": PARAPHRASES, "mistakes": MISTAKES}


@dataclass(frozen=True)
class Present:
    """The results of an arm on an evaluation set that exist already.

    files: frames by stage; rows: returns the stored rows of a hosted arm's stage, by key.
    """

    files: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: Callable[[HostedArm, str], dict[str, dict]] = lambda arm, stage: {}


def forecast(
    run: dict,
    questions: pl.DataFrame,
    config: Configuration,
    present: Present,
    arm: HostedArm | None,
    paraphraser: HostedArm | None,
    compared: bool = False,
) -> list[dict]:
    """Rows of FORECAST of an arm on an evaluation set; run: {"model", "arm", "eval_set"}.

    config: completed; arm, paraphraser: None if they are not at a host, so that their calls cost nothing; at least one
    is at a host. compared: the arm's first rows on this set are compared with base's (`arms.first_rows`).
    """
    stages = _ArmStages(questions, config, present, arm, paraphraser)
    rows = []
    if arm:
        if compared and (dry := stages.check()).n:
            rows.append(dry.row(run, "check", False))
        dry = stages.write_chains()
        rows.append(dry.row(run, "chains", stages.assumed))
    assumed, rewritten = stages.assumed, {}
    for stage in REWRITING:
        if NEEDED_BY[stage].isdisjoint(config.tests):
            continue
        rewritten[stage], known = stages.rewritten_steps(stage)
        assumed |= not known
        if paraphraser:
            dry, most_expensive = (stages.rewrite(stage, rewritten[stage], every) for every in (False, True))
            rows.append(dry.row(run, stage, not known, dry if known else most_expensive))
    if arm:
        rests = None
        if sources := {test: rewritten[TESTS[test].rewritten_by] for test in REGENERATED if test in config.tests}:
            rests, dry, known = stages.regenerate(sources)
            assumed |= not known
            rows.append(dry.row(run, "regenerations", assumed))
        dry = stages.answer(rewritten.get("paraphrases"), rests)
        rows.append(dry.row(run, "answers", assumed))
    return rows


def crossed(
    run: dict, questions: pl.DataFrame, config: Configuration, present: Present, reader: HostedArm, own: dict[str, dict]
) -> dict:
    """The row of FORECAST of an arm's answers after the chains of another arm.

    run: {"model", "arm" (the reader), "eval_set"}; present: the writer's files, and the rows of the stage. own: the
    reader's rows after its own chains; what is asked there is not asked again.
    """
    dry, known = _ArmStages(questions, config, present, reader, None).cross(own)
    return dry.row(run, "crossed", not known)


class _ArmStages:
    """Dry runs of the stages of an arm on an evaluation set, from chains that exist or are assumed."""

    def __init__(self, questions, config, present, arm, paraphraser):
        self.block, self.config, self.present = Block(0, questions), config, present
        self.arm, self.paraphraser = arm, paraphraser
        self.templates = (arm or paraphraser).templates
        self.count = arm.count if arm else token_counts.estimate_tokens
        self.answer_text = "A" if questions["kind"][0] == "choice" else "0"
        known = present.files.get("chains")
        self.written = known is not None and known["id"].to_list() == questions["id"].to_list()
        # Files that rest on other chains are of no use.
        self.files, self.assumed = (present.files, False) if self.written else ({}, True)
        texts = zip(questions.to_dicts(), map(self._chain, questions["id"]), strict=True)
        self.chains = known if self.written else _read(texts, self.templates, self.count)

    def check(self) -> DryRunArm:
        """The dry run of the calls that only the comparison with base makes."""
        dry = self._dry_run("check", lambda key: self.answer_text, 1)
        first_rows.tokens(dry, first_rows.numbers(self.block.questions, self.arm.host.abilities), self.templates)
        return dry

    def write_chains(self) -> DryRunArm:
        """The dry run of the chains. Without a file of chains, the later stages use those in the row store."""
        settings = self.config.chains
        start = forms.STEPS.start(settings.forced_start) if self.arm.host.endpoint == "completions" else ""
        length = self.chains["n_tokens"].mean() if self.written else None
        dry = self._dry_run("chains", lambda key: self._chain(key).removeprefix(start), length)
        frame = chains.write(dry, self.block.questions, self.templates, settings)
        if not self.written:
            self.chains, self.assumed = frame, dry.n_left > 0
        return dry

    def rewritten_steps(self, stage: str) -> tuple[pl.DataFrame, bool]:
        """All rewritten steps (a frame of PARAPHRASES or MISTAKES), and whether they are known or assumed."""
        whole = self.chains.filter(pl.col("outcome") != "truncated")
        lines = [(row["id"], i, line) for row in whole.to_dicts() for i, line in enumerate(row["steps"], 1)]
        known = self.files.get(stage)
        if known is not None and set(known.select("id", "step").rows()) == {line[:2] for line in lines}:
            return known, True
        rows = [
            {"id": name, "step": i, "text": _line(f"{name} {i} {stage}", self.count(line), self.count), "attempts": 1}
            for name, i, line in lines
        ]
        return pl.DataFrame([dict.fromkeys(_SCHEMAS[stage]) | row for row in rows], schema=_SCHEMAS[stage]), False

    def rewrite(self, stage: str, rewritten: pl.DataFrame, every: bool) -> DryRunArm:
        """The dry run of the paraphraser, with the attempts that `rewritten` says; every: with all attempts."""
        lines = self.chains.filter(pl.col("outcome") != "truncated")["steps"].explode().drop_nulls().to_list()
        length, count = sum(map(self.paraphraser.count, lines)) / max(1, len(lines)), self.paraphraser.count
        stored = self.present.rows(self.paraphraser, stage)
        dry = DryRunArm(self.paraphraser, stored, lambda key: _line(key[:8], length, count), length)
        attempts = {(name, i): n for name, i, n in rewritten.select("id", "step", "attempts").rows()}

        def refuse(row: dict, text: str) -> str | None:
            return None if row["attempts"] >= attempts[row["id"], row["step"]] and not every else "another"

        versions = rewriting.template_versions(self.templates, REWRITING[stage])
        rewriting.rewrite(dry, self.chains, versions, self.config.paraphraser.max_new_tokens, refuse)
        return dry

    def regenerate(self, sources: dict[str, pl.DataFrame]) -> tuple[pl.DataFrame, DryRunArm, bool]:
        """The rests of the chains (REGENERATIONS), the dry run, and whether the rests are known."""
        whole = self.chains.filter(pl.col("n_steps") > 0)
        tokens = [self.count(forms.STEPS.join(steps)) for steps in whole["steps"]]
        n_steps = max(1, round(sum(whole["n_steps"]) / max(1, whole.height) / 2))
        a_step = sum(tokens) / max(1, sum(whole["n_steps"]))
        known = self.files.get("regenerations")
        length = known["n_tokens"].mean() if known is not None else None
        dry = self._dry_run("regenerations", lambda key: self._chain(key, n_steps, a_step), length)
        limit = self.config.chains.max_new_tokens
        frame = regeneration.regenerate(dry, self.block, self.chains, sources, self.templates, limit)
        place = ("id", "test", "k")
        if known is not None and set(known.select(place).rows()) == set(frame.select(place).rows()):
            return known, dry, True
        return frame, dry, dry.n_left == 0

    def answer(self, paraphrases: pl.DataFrame | None, rests: pl.DataFrame | None) -> DryRunArm:
        """The dry run of the answers."""
        config = self.config
        tampered = build.build(self.chains, _tampering(config, config.tests), self.count, paraphrases, rests)
        dry = self._dry_run("answers", lambda key: self.answer_text, ANSWER_TOKENS)
        answers.answer(dry, self.block, self.chains, tampered, self.templates, config.answers)
        return dry

    def cross(self, own: dict[str, dict]) -> tuple[DryRunArm, bool]:
        """The dry run of the answers after the chains of another arm, and whether all texts are known."""
        config, known, paraphrases = self.config, True, None
        tests = [test for test in config.tests if TESTS[test].of_own_steps]
        if not NEEDED_BY["paraphrases"].isdisjoint(tests):
            paraphrases, known = self.rewritten_steps("paraphrases")
        tampered = build.build(self.chains, _tampering(config, tests), self.count, paraphrases, None)
        dry = self._dry_run("crossed", lambda key: self.answer_text, ANSWER_TOKENS)
        dry.rows.rows.update(own)
        settings = config.answers.model_copy(update={"again": 0, "shuffle": False})
        read = tampered.filter(pl.col("test") != "no_cot")
        answers.answer(dry, self.block, self.chains, read, self.templates, settings)
        return dry, known and not self.assumed

    def _dry_run(self, stage: str, reply: Callable[[str], str], length: float | None) -> DryRunArm:
        """A dry run of the arm for a stage."""
        return DryRunArm(self.arm, self.present.rows(self.arm, stage), reply, length)

    def _chain(self, name: str, n_steps: int = STEPS, step_tokens: float = STEP_TOKENS) -> str:
        """An assumed chain, different for each name."""
        lines = [_line(f"{name[:16]} {i}", step_tokens, self.count) for i in range(1, n_steps + 1)]
        return f"{forms.STEPS.answer(forms.STEPS.join(lines))} {self.answer_text}"


def tuning(base: HostedArm, arm: str, questions: pl.DataFrame, settings: HostedTraining, done: bool) -> dict:
    """The row of FORECAST of an arm that a host tunes from `base`; settings: as of `hosted.train`."""
    training, _ = hosted.training_files(questions, base.templates, settings)
    known = settings.n_epochs is not None
    epochs = settings.n_epochs if known else hosted.USUAL_EPOCHS
    trained, most = (epochs * hosted.count_training_tokens(training, count) for count in (base.count, base.most))
    usd = prices.training_cost(base.price, trained)
    return {
        "model": base.host.name,
        "arm": arm,
        "eval_set": None,
        "stage": "tune",
        "host_model": base.host.model,
        "batch": False,
        "calls": 1,
        "prompt_tokens": trained,
        "completion_tokens": 0,
        "usd": usd,
        "calls_left": int(not done),
        "usd_left": 0.0 if done else usd,
        "usd_left_most": 0.0 if done else prices.training_cost(base.price, most),
        "assumed": not known,
    }


def _tampering(config: Configuration, tests: list[str]) -> InterventionSettings:
    # Of crossed answers there may be no test: then whole chains alone are read.
    return InterventionSettings.model_construct(tests=tests, filler=config.filler, sweep=config.sweep)


def _read(texts, templates: dict[str, str], count: Callable[[str], int]) -> pl.DataFrame:
    rows = [chains.read(row, text, True, count(text), templates[f"cot_{row['kind']}"]) for row, text in texts]
    return pl.DataFrame(rows, schema=CHAINS)


def _line(name: str, n_tokens: float, count: Callable[[str], int]) -> str:
    """An assumed step of n_tokens tokens: its name, and words of one token each."""
    return name + " the" * max(1, round(n_tokens) - count(name))
