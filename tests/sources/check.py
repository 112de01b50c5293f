"""Does every pinned source still load, and is it what was counted? Needs the internet.

    python tests/sources/check.py [NAME ...] [--keep FOLDER]

Each source of expected.csv is downloaded and read as a study does it. What is found is compared with what was
counted in files of the same content (`origin` says in which), and where nobody has counted only printed. Of the hub's
models only access and the list of files are asked for. With
`--keep` the files stay in FOLDER under the names of `results/downloads`, and those already there are held to their
checksums, not fetched again. The exit status is 1 where a source differs or does not load.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts")]

from faithtune.core import user_files  # noqa: E402
from faithtune.core.damage import DamagedError  # noqa: E402
from faithtune.core.errors import UserError  # noqa: E402
from faithtune.data import questions, readers, sources  # noqa: E402

EXPECTED = Path(__file__).with_name("expected.csv")
COUNTED = ("rows", "questions", "labels")  # found / expected, as texts; labels as "A353 B309 C346 D265"
COLUMNS = ("name", "reader", "source", "checksum", *COUNTED, "origin")
LINE = "{:<23} {:<17} {:<15} {:<51} {:<8} {}"
LEGEND = "found / expected, - where nobody has counted; hash: what pins the content, of a hub split only its commit"


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each source as it is done, and one that counts them; the exit status."""
    expected = expectations(EXPECTED)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="in expected.csv; all where none is named")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the downloads, of which those there are used")
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - expected.keys():
        parser.error(f"there is no source {', '.join(sorted(unknown))}; expected some of {', '.join(expected)}")
    print(LEGEND, LINE.format("source", *COUNTED, "hash", "verdict"), sep="\n", flush=True)
    verdicts = []
    with tempfile.TemporaryDirectory() as temporary:
        for row in [expected[name] for name in args.names or expected]:
            found, verdict = checked(row, args.keep or Path(temporary))
            print(line(row, found, verdict), flush=True)
            verdicts.append(verdict.partition(":")[0])
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in ("ok", "differs", "not loaded")]
    print(f"{len(verdicts)} sources: {', '.join(counts)}")
    return 0 if set(verdicts) == {"ok"} else 1


def expectations(path: Path) -> dict[str, dict[str, str]]:
    """The rows of expected.csv by their names; UserError where it is none."""
    place = str(path)
    text = user_files.text(user_files.contents(path), place)
    return {row["name"]: row for _, row in user_files.records(text, place, COLUMNS)}


def checked(row: dict[str, str], folder: Path) -> tuple[dict[str, str], str]:
    """(what is found, "ok", "differs: WHAT" or "not loaded: WHY") of a source, whatever goes wrong with it."""
    try:
        found = load(row, folder)
    except DamagedError as error:  # its checksum
        return {}, f"differs: {error}"
    except UserError as error:
        return {}, f"not loaded: {error}"
    except Exception as error:  # a library's
        return {}, f"not loaded: {type(error).__name__}: {' '.join(str(error).split())}"
    what = "; ".join(differences(row, found))
    return found, f"differs: {what} ({row['origin']})" if what else "ok"


def load(row: dict[str, str], folder: Path) -> dict[str, str]:
    """What is found in a source, downloaded to `folder` if it is not there; nothing where no reader reads it."""
    source, checksum = sources.parse(row["source"]), row["checksum"] or None
    if source.kind == "hub" and source.member is None:
        return listed(source)
    path = folder / sources.download_name(source)
    if path.exists():
        sources.verify(path, checksum)
    else:
        sources.download(source, checksum, path)
    return counted(sources.read(row["source"], path, checksum), row["reader"]) if row["reader"] else {}


def listed(source: sources.Source) -> dict[str, str]:
    """Nothing, where the hub has that commit of a model, safe to load and open to us: gigabytes are not downloaded."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError

    try:
        HfApi().auth_check(source.location)
    except GatedRepoError:
        how = "accept its licence on the hub, then `hf auth login` or HF_TOKEN"
        raise UserError(f"source {source}: gated, and closed to this machine; {how}") from None
    names = [file.rfilename for file in HfApi().model_info(source.location, revision=source.pin).siblings]
    if "tokenizer.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise UserError(f"source {source}: no tokenizer.json and *.safetensors among its files")
    return {}


def counted(records: list[dict], reader: str) -> dict[str, str]:
    """Rows of a file, its distinct questions, and how many of these have which letter as their answer."""
    module = readers.module(reader)
    table = questions.frame(module.questions(records), reader, "eval", records)
    letters = sorted(Counter(table["answer"]).items()) if module.KIND == "choice" else []
    labels = " ".join(f"{letter}{n}" for letter, n in letters)
    return {"rows": str(len(records)), "questions": str(table.height), "labels": labels}


def differences(expected: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    """What is found otherwise than expected; of what nobody has counted nothing."""
    for name in COUNTED:
        if expected[name] not in ("", found.get(name)):
            yield f"{name} {found.get(name) or '-'}, not {expected[name]}"


def line(row: dict[str, str], found: dict[str, str], verdict: str) -> str:
    """The table's line of a source."""
    cells = [f"{found.get(name) or '-'} / {row[name] or '-'}" for name in COUNTED]
    cells = ["-" if cell == "- / -" else cell for cell in cells]
    pin = row["checksum"].partition(":")[0] or "commit"
    return LINE.format(row["name"], *cells, pin, verdict)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"faithtune: {error}")
