"""Parquet between all stages: one documented schema each, written atomically.

A file appears under its name only when it is complete and on disk: it is
written beside it under a temporary name, synced, then renamed. Checksums tell
what was damaged later; a result that was is set aside (damage.py).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet

from faithtune import damage
from faithtune.damage import DamagedError
from faithtune.errors import UserError

# A question, to be asked (eval) or trained on (train).
QUESTIONS = pl.Schema(
    {
        "id": pl.String,  # 16 hex digits, derived from the content (questions.question_id)
        "source_id": pl.String,  # what its file calls it: the row's id, or its place counted from 0
        "data_set": pl.String,  # the data set's name in the configuration
        "split": pl.String,  # train | eval
        "kind": pl.String,  # choice | number
        "context": pl.String,  # a passage the question is about; null without one
        "question": pl.String,
        "options": pl.List(pl.String),  # the texts, A first; empty for kind number
        "answer": pl.String,  # the letter (A, B, ...) or the number in canonical form ("-12.5")
        "rationale": pl.String,  # worked solution, one step a line, no answer line; null without one
        "group": pl.String,  # questions of one group are not independent (a shared context)
    }
)

# The chain of thought an arm wrote for a question.
CHAINS = pl.Schema(
    {
        "id": pl.String,
        "text": pl.String,  # the assistant's whole turn, from "Step 1:" on
        "steps": pl.List(pl.String),  # s_1 ... s_N, without markers and final-answer line
        "n_steps": pl.Int32,  # N; 0 is a collapsed chain
        "n_copied": pl.Int32,  # of them, steps that stand word for word in the prompt template's example
        "n_tokens": pl.Int32,  # new tokens the model wrote; null where its tokenizer is not known
        "outcome": pl.String,  # answered | unanswered | truncated, of the free text
        "why": pl.String,  # of an unanswered one: refused | ambiguous; null where it says nothing
        "free_answer": pl.String,  # declared in the free text; null unless answered
        "span": pl.List(pl.Int32),  # where it stands in the text: start, end; null unless answered
        "lenient": pl.String,  # the answer by the lenient extractor; null where it finds none, and if truncated
    }
)

# A step in other words, as the frozen paraphraser put it.
PARAPHRASES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null where no attempt passed the gate
        "attempts": pl.Int32,  # how many were generated
        "reason": pl.String,  # why the last attempt did not pass; null where it did
    }
)

# A chain tampered with: what stands between the prompt and the answer cue.
INTERVENTIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # no_cot | full | one of interventions.TESTS | filler_sweep
        "k": pl.Int32,  # steps kept (prefix_paraphrase: put in other words, filler_sweep: tokens); null for no_cot
        "n_steps": pl.Int32,  # N of the chain
        "text": pl.String,  # the assistant's turn up to the answer cue; null: there is none
        "missing": pl.String,  # why: unavailable (a step was not rewritten) | truncated (the regenerated rest was cut)
    }
)

# What the arm answered after it.
ANSWERS = pl.Schema(
    {
        "id": pl.String,
        "group": pl.String,
        "test": pl.String,  # as in INTERVENTIONS, no_cot_shuffled (its options moved), again (full, asked again)
        "k": pl.Int32,
        "n_steps": pl.Int32,
        # answered | unanswered | truncated (the chain, its regenerated rest, or a number at answers.max_new_tokens)
        # | unavailable (no intervention)
        "outcome": pl.String,
        "answer": pl.String,  # letter or canonical number; null unless answered
        "correct": pl.Boolean,  # answer equals the gold answer; null unless answered
        "reference": pl.String,  # the arm's own full-chain answer; null where it gave none
        "match": pl.Boolean,  # answer equals reference; null where either is missing
        "text": pl.String,  # what the arm wrote after the cue; null for letters read off probabilities
        "lenient": pl.String,  # the answer read leniently; a letter whatever all letters' probability; null for none
        "read_from": pl.String,  # options | cue (what follows it) | chain (imported: what its free text declares)
        # How the chain stood before the cue: continued (the arm's own open turn), retold (a closed turn, by chat); null
        # for imported chains
        "turn": pl.String,
        "p_reference": pl.Float64,  # probability of the reference answer after this text
        "probabilities": pl.List(pl.Float64),  # over the options, sums to 1; empty where there are none
        "option_mass": pl.Float64,  # probability of all option letters together; null likewise
        "unleaked": pl.Int32,  # steps before the first that mentions reference (leaks.py); null where that is null
    }
)

# The training log, a row every few steps.
TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done
        "epoch": pl.Float64,  # passes over the training questions done
        "loss": pl.Float64,  # mean over the completion tokens since the last row, nats
        "learning_rate": pl.Float64,
        "gradient_norm": pl.Float64,
        "token_accuracy": pl.Float64,  # share of completion tokens predicted first
        "tokens": pl.Int64,  # tokens computed so far, of equal beginnings in a micro-batch one
    }
)

# The training log of a host, a row for each step it tells of; whatever it does not tell is null.
HOSTED_TRAINING = pl.Schema(
    {
        "step": pl.Int64,  # optimiser steps done
        "loss": pl.Float64,  # of the step's examples, in the host's unit
        "token_accuracy": pl.Float64,  # share of their completion tokens predicted first
        "validation_loss": pl.Float64,  # of a few validation examples
        "validation_token_accuracy": pl.Float64,
        "full_validation_loss": pl.Float64,  # of all validation examples, at checkpoints
        "full_validation_token_accuracy": pl.Float64,
    }
)

# One estimate a row; every table is a selection of these.
ESTIMATES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, over its seeds
        "train_set": pl.String,  # null for base
        "eval_set": pl.String,  # or average | average_out_of_domain
        "test": pl.String,
        "alpha": pl.Float64,  # null where it does not apply
        "k": pl.Int64,  # tokens of the filler sweep; null elsewhere
        "metric": pl.String,
        "estimate": pl.Float64,
        "low": pl.Float64,  # interval at the configured level
        "high": pl.Float64,
        "p": pl.Float64,  # two-sided, of an effect or cot_lift, not corrected for the number of cells; null elsewhere
        "mde": pl.Float64,  # the effect that would have been found with 80 % power; null elsewhere
        "n": pl.Int64,  # answers the estimate rests on: questions, times seeds
        "n_unanswered": pl.Int64,  # have no answer; whether n holds them, the metric says; null: no matter
        "n_truncated": pl.Int64,  # cut at a token limit, likewise
        "seeds": pl.Int64,  # of the tuning, pooled
    }
)

# What tuning did to one question, a row for each arm, seed, thing that may change and test; claims rest on it.
CHANGES = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET, as in ESTIMATES
        "seed": pl.Int64,
        "train_set": pl.String,
        "eval_set": pl.String,
        "id": pl.String,
        "group": pl.String,
        "what": pl.String,  # accuracy (with chain) | faithfulness (directed, mean over α)
        "test": pl.String,  # null of accuracy
        "change": pl.Float64,  # tuned - base, -1 ... 1; null where the question has no pair
        # Of accuracy: its bounds over what the unanswered and truncated of either arm could have been.
        "least": pl.Float64,
        "most": pl.Float64,
    }
)

# A step with a mistake in it, by the frozen paraphraser or by rule.
MISTAKES = pl.Schema(
    {
        "id": pl.String,
        "step": pl.Int32,  # i of s_i, from 1
        "text": pl.String,  # null where neither gave one
        "made_by": pl.String,  # model | rule (one number changed); null where text is
        "attempts": pl.Int32,  # how many the model generated
        "reason": pl.String,  # why the model's last attempt did not pass; null where it did
    }
)

# What an arm goes on to write after tampered steps.
REGENERATIONS = pl.Schema(
    {
        "id": pl.String,
        "test": pl.String,  # mistake | prefix_paraphrase
        "k": pl.Int32,  # as in INTERVENTIONS
        "text": pl.String,  # the rest, as the arm wrote it
        "steps": pl.List(pl.String),  # of the whole: the tampered steps, then the new ones
        "n_tokens": pl.Int32,  # new tokens of the rest
        "finished": pl.Boolean,  # false: the rest was cut at the token limit, a truncated chain
    }
)

# An attempt at a call of a host, counted before it is made (spend.Ledger).
SPEND = pl.Schema(
    {
        "key": pl.String,  # the row's (store.row_key); of a tuning its fingerprint
        "attempt": pl.Int64,  # from 1
        "model": pl.String,  # its name in the configuration
        "host_model": pl.String,  # its name at the host
        "arm": pl.String,
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # chains, answers, tune, ...
        "endpoint": pl.String,  # chat | completions | fine_tuning
        "batch": pl.Boolean,  # through the Batch endpoint
        "prompt_tokens": pl.Int64,  # as the host counted them once paid, else the estimate; of a tuning, trained ones
        "completion_tokens": pl.Int64,  # likewise; else the most that may be written
        "usd": pl.Float64,  # once paid what it cost, once released 0, else the most it may; null: no price is known
        "state": pl.String,  # paid | reserved (no answer yet, or none ever: it may have been charged) | released (free)
        "at": pl.String,  # when it was reserved, UTC, ISO 8601
    }
)

# What is to be asked of hosts, a row for each stage of an arm on an evaluation set (forecast.py).
FORECAST = pl.Schema(
    {
        "model": pl.String,  # that is asked: of paraphrases and mistakes the paraphraser
        "arm": pl.String,  # whose chains they are
        "eval_set": pl.String,  # null for a tuning
        "stage": pl.String,  # tune | chains | paraphrases | mistakes | regenerations | answers
        "host_model": pl.String,  # its name at the host
        "batch": pl.Boolean,  # through the Batch endpoint, at its price
        "calls": pl.Int64,  # of the whole study: distinct rows
        "prompt_tokens": pl.Int64,  # of all calls; of a tuning, trained ones
        "completion_tokens": pl.Int64,
        "usd": pl.Float64,  # null: no price is known
        "calls_left": pl.Int64,  # of them those whose answer is not kept yet (row store)
        "usd_left": pl.Float64,
        "usd_left_most": pl.Float64,  # as the ledger reserves them: the longest answers, every paraphrase tried again
        "assumed": pl.Boolean,  # rests on assumed chains or lengths, not on what was written
    }
)


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(frame: pl.DataFrame, path: str | Path, schema: pl.Schema, metadata: dict[str, str] | None = None) -> None:
    """Write `frame` with exactly the columns and types of `schema`, atomically, a checksum on every page.

    `metadata` becomes the file's own key-value metadata.
    """
    frame = frame.select(pl.col(name).cast(kind) for name, kind in schema.items())
    with atomic_path(path) as temporary:
        table = frame.to_arrow().replace_schema_metadata(metadata)
        pyarrow.parquet.write_table(table, temporary, write_page_checksum=True)


def read(path: str | Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a result; UserError where it is not there. A damaged one is set aside, and a run makes it anew."""
    with damage.setting_aside(path):
        return load(path, schema)


def load(path: str | Path, schema: pl.Schema) -> pl.DataFrame:
    """Read a Parquet file; DamagedError where it is damaged or has another schema."""
    try:
        table = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
        frame = pl.from_arrow(table)
    except (OSError, pyarrow.ArrowException, pl.exceptions.PolarsError) as error:
        if number := getattr(error, "errno", None):  # of the system: no such file, no right to read it, ...
            raise UserError(f"{path}: not read ({os.strerror(number)}); {damage.MISSING}") from None
        raise DamagedError(f"{path}: not a readable Parquet file ({error})") from None
    if frame.schema != schema:
        raise DamagedError(f"{path}: its columns are not those of this version")
    return frame
