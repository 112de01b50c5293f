"""Looking at batches that are under way; what is new of them goes to the log."""

import sys

import openai
from openai.types import Batch
from tqdm import tqdm

from faithtune.core.errors import UserError
from faithtune.hosts.batch import results
from faithtune.hosts.batch.client import Desk
from faithtune.hosts.batch.records import Record, Records

LATE = 900.0  # seconds after its end in which a batch may not name its output file yet


class Watch:
    """Of one run."""

    def __init__(self, records: Records, desk: Desk):
        self.records, self.desk = records, desk
        self.seen: dict[str, str] = {}  # the last state of each batch
        self.late: dict[str, float] = {}  # since when an ended one has been looked at

    def look(self, record: Record) -> Batch | None:
        """The batch as the host has it; None: it is ended and gone from there."""
        try:
            batch = self.desk.batch(record.batch)
        except openai.NotFoundError:
            if record.state == "ended":
                return None
            raise UserError(
                f"{self.records.path(record.chunk)}: the host knows no batch {record.batch}; expected the key of the"
                " account that made it, or move the file away to submit and pay its rows anew"
            ) from None
        if self.seen.get(batch.id) != batch.status:
            self.seen[batch.id] = batch.status
            self.tell(record, f"{batch.status}, {results.n_done(batch)} of {len(record.keys)} rows")
        return batch

    def is_over(self, batch: Batch) -> bool:
        """Whether a batch has ended, and names what it gives or had the time to."""
        if batch.status not in results.ENDS:
            return False
        clock = self.desk.gate.clock
        since = self.late.setdefault(batch.id, clock())
        return not results.lacks_output(batch) or clock() - since > LATE

    def tell(self, record: Record, what: str) -> None:
        tqdm.write(f"batch {record.batch}: {what}", file=sys.stderr)
