"""What a study asks of its hosts and what that costs, before anything is spent.

The stages themselves are run, at a host that is not there (`DryRunHost`): what they would ask is counted, prompt by
prompt, and rows that are kept are taken from the row store. So calls are those that will be made. What nobody
has written yet is assumed:

    a chain                       STEPS steps of STEP_TOKENS tokens each
    a rewritten step              as long as the arm's steps; the first attempt passes
    the rest of a chain           half a chain
    an answer in text             ANSWER_TOKENS tokens, and it can be read

The arm's own chains, rewritten steps and rests take their place as soon as their files are there.
"""

from collections.abc import Callable

import polars as pl

from faithtune.arms import answers, chains
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES
from faithtune.data import prompts
from faithtune.extraction.steps import join
from faithtune.hosts.spend import prices
from faithtune.interventions import build, regeneration, rewriting
from faithtune.interventions.registry import NEEDED_BY, REGENERATED, REWRITING, TESTS
from faithtune.models import token_counts
from faithtune.settings.configuration import Configuration
from faithtune.study.forecast.dry_host import DryRunHost, HostedArm
from faithtune.tuning import hosted

STEPS = 6
STEP_TOKENS = 30
ANSWER_TOKENS = 4

_SCHEMAS = {"paraphrases": PARAPHRASES, "mistakes": MISTAKES}


def forecast(
    arm: dict,
    questions: pl.DataFrame,
    templates: dict[str, str],
    study: Configuration,
    found: dict[str, pl.DataFrame],
    asker: HostedArm | None,
    writer: HostedArm | None,
    kept: Callable[[HostedArm, str], dict[str, dict]] = lambda party, stage: {},
) -> list[dict]:
    """Rows of FORECAST of one arm ({"model", "arm"}) on one evaluation set ("eval_set").

    study: the completed configuration; found: by stage the frames that are there; asker, writer: the arm and the
    paraphraser where they are at a host (None: elsewhere, and nothing is counted); kept: rows of a party's stage.
    """
    own = _Chains(questions, templates, study, found, asker)
    rows = []
    if asker:
        own.ask(asker, kept(asker, "chains"))
        rows.append(own.desk.row("chains", arm, own.assumed))
    assumed, made = own.assumed, {}
    for stage in REWRITING:
        if NEEDED_BY[stage].isdisjoint(study.tests):
            continue
        made[stage], known = own.rewritten(stage)
        assumed |= not known
        if writer:
            own_rows = kept(writer, stage)
            desk, dearest = (own.rewrite(stage, writer, own_rows, made[stage], dear) for dear in (False, True))
            rows.append(desk.row(stage, arm, not known, desk if known else dearest))
    if asker:
        rest = None
        if sources := {test: made[TESTS[test].rewritten_by] for test in REGENERATED if test in study.tests}:
            rest, desk, known = own.regenerated(asker, kept(asker, "regenerations"), sources)
            assumed |= not known
            rows.append(desk.row("regenerations", arm, assumed))
        desk = own.answered(asker, kept(asker, "answers"), made.get("paraphrases"), rest)
        rows.append(desk.row("answers", arm, assumed))
    return rows


class _Chains:
    """The chains of an arm on an evaluation set, written or assumed, and what is asked because of them."""

    def __init__(self, questions, templates, study, found, asker):
        self.questions, self.templates, self.study = questions, templates, study
        self.count = asker.count if asker else token_counts.estimated
        self.answer = "A" if questions["kind"][0] == "choice" else "0"
        known = found.get("chains")
        self.written = known is not None and known["id"].to_list() == questions["id"].to_list()
        self.found, self.assumed = (found, False) if self.written else ({}, True)
        texts = zip(questions.to_dicts(), map(self._chain, questions["id"]), strict=True)
        self.frame = known if self.written else _read(texts, templates, self.count)

    def ask(self, asker: HostedArm, kept: dict[str, dict]) -> None:
        """Let the arm write its chains; where no file holds them, they are those that the row store has."""
        settings = self.study.chains
        start = prompts.CHAIN_START if settings.forced_start and asker.host.endpoint == "completions" else ""
        length = self.frame["n_tokens"].mean() if self.written else None
        self.desk = DryRunHost(asker, kept, lambda key: self._chain(key).removeprefix(start), length)
        frame = chains.write(
            self.desk.model,
            self.desk.keep,
            self.questions,
            self.templates,
            settings.max_new_tokens,
            settings.forced_start,
        )
        if not self.written:
            self.frame, self.assumed = frame, self.desk.n_left > 0

    def rewritten(self, stage: str) -> tuple[pl.DataFrame, bool]:
        """Every step in other words or with a mistake, and whether that is known."""
        whole = self.frame.filter(pl.col("outcome") != "truncated")
        lines = [(row["id"], i, line) for row in whole.to_dicts() for i, line in enumerate(row["steps"], 1)]
        known = self.found.get(stage)
        if known is not None and set(known.select("id", "step").rows()) == {line[:2] for line in lines}:
            return known, True
        rows = [
            {"id": name, "step": i, "text": _line(f"{name} {i} {stage}", self.count(line), self.count), "attempts": 1}
            for name, i, line in lines
        ]
        return pl.DataFrame([dict.fromkeys(_SCHEMAS[stage]) | row for row in rows], schema=_SCHEMAS[stage]), False

    def rewrite(self, stage: str, writer: HostedArm, kept: dict, made: pl.DataFrame, dear: bool) -> DryRunHost:
        """Ask for what `made` holds; dear: with every template."""
        lines = self.frame.filter(pl.col("outcome") != "truncated")["steps"].explode().drop_nulls().to_list()
        length = sum(map(writer.count, lines)) / max(1, len(lines))
        desk = DryRunHost(writer, kept, lambda key: _line(key[:8], length, writer.count), length)
        attempts = {(name, i): n for name, i, n in made.select("id", "step", "attempts").rows()}

        def refuse(row: dict, text: str) -> str | None:
            return None if row["attempts"] >= attempts[row["id"], row["step"]] and not dear else "another"

        most = self.study.paraphraser.max_new_tokens
        rewriting.rewrite(desk.model, desk.keep, self.frame, self.templates, REWRITING[stage], most, refuse)
        return desk

    def regenerated(
        self, asker: HostedArm, kept: dict, sources: dict[str, pl.DataFrame]
    ) -> tuple[pl.DataFrame, DryRunHost, bool]:
        """The rests of the chains, and whether they are known."""
        whole = self.frame.filter(pl.col("n_steps") > 0)
        tokens = [self.count(join(steps)) for steps in whole["steps"]]
        n_steps = sum(whole["n_steps"]) / max(1, whole.height)
        a_step = sum(tokens) / max(1, sum(whole["n_steps"]))
        known = self.found.get("regenerations")
        length = known["n_tokens"].mean() if known is not None else None
        desk = DryRunHost(asker, kept, lambda key: self._chain(key, max(1, round(n_steps / 2)), a_step), length)
        frame = regeneration.regenerations(
            desk.model,
            desk.keep,
            self.questions,
            self.frame,
            sources,
            self.templates,
            self.study.chains.max_new_tokens,
        )
        place = ("id", "test", "k")
        if known is not None and set(known.select(place).rows()) == set(frame.select(place).rows()):
            return known, desk, True
        return frame, desk, desk.n_left == 0

    def answered(
        self, asker: HostedArm, kept: dict, paraphrases: pl.DataFrame | None, rest: pl.DataFrame | None
    ) -> DryRunHost:
        """Ask for all answers."""
        study, settings = self.study, self.study.answers
        made = build.build(
            self.frame,
            paraphrases,
            study.tests,
            study.filler,
            self.count,
            rest,
            study.sweep.step,
            study.sweep.longest,
        )
        desk = DryRunHost(asker, kept, lambda key: self.answer, ANSWER_TOKENS)
        answers.answer(
            desk.model,
            desk.keep,
            self.questions,
            self.frame,
            made,
            self.templates,
            settings.max_new_tokens,
            settings.min_option_mass,
            settings.again,
            settings.shuffle,
        )
        return desk

    def _chain(self, name: str, n_steps: int = STEPS, step_tokens: float = STEP_TOKENS) -> str:
        """A chain that nobody wrote, unlike any of another name."""
        lines = [_line(f"{name[:16]} {i}", step_tokens, self.count) for i in range(1, n_steps + 1)]
        return f"{join(lines)}\n{prompts.CUE} {self.answer}"


def tuning(
    party: HostedArm, arm: dict, questions: pl.DataFrame, templates: dict[str, str], settings: dict, done: bool
) -> dict:
    """The row of FORECAST of a tuning at a host; settings: as of `hosted.train`."""
    training, _ = hosted.files(questions, templates, settings)
    known = settings.get("n_epochs") not in (None, "auto")
    epochs = settings["n_epochs"] if known else hosted.USUAL_EPOCHS
    trained, most = (epochs * hosted.training_tokens(training, count) for count in (party.count, party.most))
    usd = prices.training_cost(party.price, trained)
    return {
        "model": party.host.name,
        "arm": arm["arm"],
        "eval_set": None,
        "stage": "tune",
        "host_model": party.host.model,
        "batch": False,
        "calls": 1,
        "prompt_tokens": trained,
        "completion_tokens": 0,
        "usd": usd,
        "calls_left": int(not done),
        "usd_left": 0.0 if done else usd,
        "usd_left_most": 0.0 if done else prices.training_cost(party.price, most),
        "assumed": not known,
    }


def _read(texts, templates: dict[str, str], count: Callable[[str], int]) -> pl.DataFrame:
    rows = [chains.read(row, text, True, count(text), templates[f"cot_{row['kind']}"]) for row, text in texts]
    return pl.DataFrame(rows, schema=CHAINS)


def _line(name: str, n_tokens: float, count: Callable[[str], int]) -> str:
    """A step that nobody wrote: its name and as many words of one token as make it so long."""
    return name + " the" * max(1, round(n_tokens) - count(name))
