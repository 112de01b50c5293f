"""What the study consists of: its data, the settings of its tunings, its prompts (tables T10-T12)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from faithtune.data import sources
from faithtune.data.prompts import Turns
from faithtune.data.questions import question_block
from faithtune.jobs import provenance

# One split of a data set, evaluated or trained on.
DATA = pl.Schema(
    {
        "data_set": pl.String,  # its name in the configuration
        "split": pl.String,  # train | eval
        "source": pl.String,  # as configured, without local folders; "generated"
        "revision": pl.String,  # wheel version, hub commit or checksum; a local file's own sha256; null: generated
        "licence": pl.String,  # null where the reader does not know it
        "share": pl.Float64,  # this split's part, if both splits are cut from one source; null: it has its own
        "questions": pl.Int64,  # how many
        "skipped": pl.Int64,  # rows of its file that did not fit and were left out; null: the reader is not `table`
        "kind": pl.String,  # choice | number | expression; several, with commas, where it has several
        "options": pl.Float64,  # mean number; null for numbers
        "groups": pl.Int64,  # groups of questions that share a context
        "characters": pl.Float64,  # mean length of a question with context and options
        "rationales": pl.Float64,  # share with a worked solution
        "majority": pl.Float64,  # share of the most common answer: the score of a constant answer
        "overlap": pl.Int64,  # questions that are also in the other split of any data set
    }
)

# One setting of one tuned arm.
HYPER_PARAMETERS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,
        # a key of the configuration's tunings; a setting without a key (optimiser, betas, epsilon, clipping, loss_on,
        # trained_in, double_quantisation); examples: the number it was tuned on; of an arm tuned on several data
        # sets examples_of: that number by data set, and of a mixture shares and equal: what was asked for; with the
        # target own questions: the number of its training questions, and questions_found: how many of them had a
        # right chain; or
        # starts_from: the tuned arms that its model comes from, MODEL/ARM, in the order of their trainings
        "parameter": pl.String,
        "value": pl.String,  # where seeds differ, every value, separated by commas
        "stated": pl.Boolean,  # the paper states every one of these values
    }
)
# What arXiv 2411.15382 states; everything else is the study's choice.
STATED = {"method": {"sft"}, "adapter": {"qlora"}, "quantisation": {"nf4"}, "rank": {"8", "16", "32"}}

# One text of the prompts.
PROMPTS = pl.Schema(
    {
        "prompt": pl.String,  # name of the template's file or of the fixed text
        "sha256": pl.String,  # of the file, as sha256sum prints it, or of the fixed text in UTF-8
        "characters": pl.Int64,  # its length
        "begins": pl.String,  # the first line
    }
)


def data(parts: list[dict], frames: list[pl.DataFrame]) -> pl.DataFrame:
    """DATA from the parts and the frame of QUESTIONS of each.

    A part: {data_set, split} and, where known, source, checksum, licence, share and skipped.
    """
    rows = []
    for part, frame in zip(parts, frames, strict=True):
        others = [f for p, f in zip(parts, frames, strict=True) if p["split"] != part["split"]]
        elsewhere = pl.concat([frame.clear(), *others]).select("id").unique()
        lengths = [len(question_block(row)) for row in frame.iter_rows(named=True)]
        options = frame["options"].list.len()
        rows.append(
            {
                "data_set": part["data_set"],
                "split": part["split"],
                "source": provenance.public(part.get("source") or "generated"),
                "revision": _revision(part),
                "licence": part.get("licence"),
                "share": part.get("share"),
                "questions": frame.height,
                "skipped": part.get("skipped"),
                "kind": ", ".join(sorted(frame["kind"].unique())),
                "options": options.filter(options > 0).mean(),
                "groups": frame["group"].n_unique(),
                "characters": sum(lengths) / len(lengths),
                "rationales": frame["rationale"].is_not_null().mean(),
                "majority": frame["answer"].value_counts()["count"].max() / frame.height,
                "overlap": frame.join(elsewhere, on="id", how="semi").height,
            }
        )
    return pl.DataFrame(rows, schema=DATA)


def hyper_parameters(arms: Iterable[dict], cards: Iterable[dict]) -> pl.DataFrame:
    """HYPER_PARAMETERS from the tuned arms and the content of each one's arm.json; seeds share an arm.

    An arm: {model, arm} and, where its model starts from an arm of the study, the list starts_from.
    """
    values: dict[tuple, list[str]] = {}
    for arm, card in zip(arms, cards, strict=True):
        lineage = {"starts_from": " → ".join(arm["starts_from"])} if arm.get("starts_from") else {}
        settings = lineage | card["settings"] | card.get("fixed", {}) | {"examples": card.get("examples")}
        settings |= card.get("data", {})
        settings |= {name: card[name] for name in ("questions", "questions_found") if name in card}
        for parameter, value in settings.items():
            known = values.setdefault((arm["model"], arm["arm"], parameter), [])
            text = _text(provenance.public(value))  # an adapter may name its base by a folder
            known += [text] if text not in known else []
    rows = [(*key, ", ".join(found), STATED.get(key[-1], set()).issuperset(found)) for key, found in values.items()]
    return pl.DataFrame(rows, schema=HYPER_PARAMETERS, orient="row")


def prompts(texts: Mapping[str, str]) -> pl.DataFrame:
    """PROMPTS from the templates' files and the fixed texts, by name."""
    rows = [
        (name, provenance.sha256(text.encode()), len(text), next(iter(text.splitlines()), ""))
        for name, text in texts.items()
    ]
    return pl.DataFrame(rows, schema=PROMPTS, orient="row")


def conversation_texts(cards: Mapping[str, dict]) -> dict[str, str]:
    """The texts by which a model's conversation differs from its tokenizer's, by what they are and the model's name.

    Of a model that thinks, the chain starts with the text that opens its block, in place of "Step 1:".
    """
    texts = {}
    for name, card in cards.items():
        turns = Turns.of(card)
        opened, closed = turns.thinking or (None, None)
        found = {
            "system prompt": turns.system,
            "chat template": turns.chat_template,
            "chain start": opened,
            "chain end": closed,
        }
        texts |= {f"{what} of {name}": text for what, text in found.items() if text is not None}
    return texts


def _revision(part: dict) -> str | None:
    if not part.get("source"):
        return None
    source, checksum = sources.parse(part["source"]), part.get("checksum")
    if source.kind == "file" and not checksum:
        checksum = f"sha256:{provenance.sha256(Path(source.location).read_bytes())}"
    return ", ".join(filter(None, (source.pin, checksum))) or None


def _text(value) -> str:
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
