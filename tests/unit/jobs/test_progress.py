"""Progress bars in a job's log: lines with rate and time left; output between them is not lost."""

import io

import pytest
from tqdm import tqdm

from faithtune.jobs.progress import LineWriter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def written(*texts: str) -> str:
    file = io.StringIO()
    with LineWriter(file, clock=Clock()) as lines:
        for text in texts:
            assert lines.write(text) == len(text)
    return file.getvalue()


def test_plain_text_is_unchanged():
    text = "a\n\n  b \u00fc\nc\n"
    assert written(text) == written(*text) == text.replace("b ü", "b ü")
    assert written("windows\r\n", "ends") == "windows\nends\n"


def test_overwritten_states_are_dropped_and_the_last_stays():
    assert written("\r1", "\r2", "\r3", "\n", "done\n") == "3\ndone\n"
    assert written("\r1", "\r2") == "2\n"
    assert written("\r1", "\r2   ", "\r      ", "\r", "told\n") == "told\n"


def test_output_after_a_state_has_its_own_line():
    assert written("\r1 of 2", "told\n", "\r2 of 2", "\n") == "1 of 2\ntold\n2 of 2\n"


def test_output_before_a_state_is_not_overwritten():
    """As if a thread prints in two writes, with the bar between them."""
    assert written("warning", "\r1 of 2", "\n") == "warning\n1 of 2\n"
    assert written("a\r", "\n", "b\n") == "a\nb\n"


def test_cursor_movements_are_dropped():
    assert written("\x1b[A\r1 of 2", "\n\x1b[2K", "x\n") == "1 of 2\nx\n"


def test_a_long_bar_has_a_line_every_so_often(clock):
    file = io.StringIO()
    with LineWriter(file, 10.0, clock) as lines:
        for second in range(26):
            clock.now = float(second)
            lines.write(f"\r{second} of 25")
        lines.write("\n")
    assert file.getvalue().splitlines() == ["10 of 25", "20 of 25", "25 of 25"]


def test_tqdm_prints_rate_and_time_left(clock):
    file = io.StringIO()
    with LineWriter(file, 0.0, clock) as lines:
        for _ in tqdm(range(3), desc="answer", unit="question", mininterval=0, file=lines):
            pass
    printed = file.getvalue().splitlines()
    assert printed[0].startswith("answer:   0%") and printed[1].startswith("answer:  33%")
    assert printed[-1].startswith("answer: 100%")
    assert all("\r" not in line and "question/s]" in line and "<" in line for line in printed[1:])


def test_it_can_stand_for_its_file(tmp_path):
    with open(tmp_path / "log", "w", encoding="utf-8") as file, LineWriter(file) as lines:
        assert lines.encoding == "utf-8" and lines.fileno() == file.fileno() and not lines.isatty()
