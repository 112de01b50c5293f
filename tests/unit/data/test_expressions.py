r"""Which texts are the same expression, as math-verify and reason have it; the process that math-verify runs in."""

import signal
import textwrap
import threading

import pytest

from faithtune.core.errors import UserError
from faithtune.data import expressions
from faithtune.data.expressions import canonical_expression, known_spelling, same_expression

SAME = [
    # fractions, decimals, mixed numbers
    (r"\frac{1}{2}", r"\dfrac12"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac{1}{2}", "0.5"),
    (r"-\frac{3}{4}", r"\frac{-3}{4}"),
    (r"\frac{1}{3}", "0.333333"),  # as far as six digits
    (r"3\frac{1}{2}", "3 1/2"),
    (r"3\frac{1}{2}", r"\frac{7}{2}"),
    (r"1\frac{4}{5}", "1.8"),
    # roots, powers, functions
    (r"\sqrt{8}", r"2\sqrt2"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"\frac{1}{1+\sqrt{2}}", r"\sqrt2-1"),
    (r"\sqrt[3]{27}", "3"),
    (r"2\sqrt{3}", "2√3"),
    (r"2\sqrt{3}", "2sqrt(3)"),
    (r"2\pi", "2pi"),
    (r"2\pi", "2π"),
    (r"\log_2 8", "3"),
    ("2^{10}", "1024"),
    ("5!", "120"),
    (r"3.0 \times 10^5", "300,000"),
    # thousands, money
    (r"10,\!080", "10080"),
    (r"\$18.90", "18.9"),
    # intervals, inequalities
    ("[1,2)", r"\left[ 1, 2 \right)"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty) \cup (-\infty,2)"),
    (r"(-\infty, 2) \cup (3, \infty)", "(3,∞) ∪ (−∞,2)"),
    (r"x \in [-2,7]", "[-2,7]"),
    (r"-2 \le x \le 7", "[-2,7]"),
    ("x > 3", r"(3,\infty)"),
    ("x > 3", "3 < x"),
    # sets and tuples
    (r"\{1,2\}", r"\{2, 1\}"),
    (r"\{1,2\}", "2,1"),
    ("(1,2), (3,4)", r"\{(3,4), (1,2)\}"),
    (r"x \in (1,2)", "(1,2)"),
    ("A", "a"),
    (r"3 \pm 2\sqrt{2}", r"3+2\sqrt2, 3-2\sqrt2"),
    (r"(3, \frac{\pi}{2})", r"\left( 3, \dfrac{\pi}{2} \right)"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    # equations: an assignment is its value, an equation its right side
    ("x=3", "3"),
    ("x = 3, x = 4", "3, 4"),
    ("y = 2x+3", "y=3+2x"),
    ("y = 2x+3", "2x+3"),
    ("f(2)=3", "3"),
    ("2+1=3", "3"),
    (r"\pi r^2 = 9\pi", r"9\pi"),
    ("x^2+y^2-1=0", "x^2+y^2=1"),
    # polynomials, complex numbers
    ("(x+1)^2", "x^2+2x+1"),
    ("6 - 5i", "-5i+6"),
    # words
    (r"\text{Evelyn}", "Evelyn"),
    (r"\text{Evelyn}", r"\text{evelyn}"),
    (r"\text{(C)}", "C"),
    # what counts for nothing: units, degrees, percent, the base of a number
    (r"5 \text{ cm}", "5"),
    (r"5\text{ cm}^2", r"5\text{ cm}"),
    (r"90^\circ", "90"),
    ("90^\\circ", "90°"),
    (r"90^\circ", r"90 \text{ degrees}"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    ("4210_{5}", "4210"),
]
DIFFERENT = [
    ("(1,2)", r"\{1,2\}"),
    ("(1,2)", "1,2"),
    (r"\left(1, \frac{1}{2}\right)", r"\frac{1}{2}, 1"),
    ("[1,2]", r"\{1,2\}"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"-\frac{3}{4}", r"\frac{3}{4}"),
    (r"\frac{1}{3}", "0.33"),
    (r"3\frac{1}{2}", r"\frac{3}{2}"),
    (r"\sqrt{50}", "7.07"),
    (r"2\pi", "6.28"),
    ("[1,2)", "[1,2]"),
    ("(1,2)", "(2,1)"),
    ("(1,2,3)", "(1,3,2)"),
    (r"\{1,2\}", r"\{1,3\}"),
    (r"\{1,2\}", "1"),
    ("-2 < x < 7", "[-2,7]"),
    ("x > 3", r"x \ge 3"),
    ("(0,9) \\cup (9,36)", "(0,36)"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    ("x=3", "x=4"),
    ("x=3", "y=3"),
    ("x^2+y^2=1", "x^2+y^2=2"),
    ("p - q", "q - p"),
    ("(x+1)^2", "x^2+2x+2"),
    (r"\text{Evelyn}", r"\text{Evelin}"),
    (r"\text{even}", r"\text{odd}"),
    (r"\infty", r"\emptyset"),
    (r"50\%", "5"),
    ("50", "0.5"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one, other):
    assert same_expression(canonical_expression(one), canonical_expression(other))
    assert same_expression(canonical_expression(other), canonical_expression(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one, other):
    assert not same_expression(canonical_expression(one), canonical_expression(other))


def test_neither_direction_is_the_one_that_counts():
    """math-verify takes the right side of a target alone: here of either text."""
    import math_verify

    ways = [("3", "f(2)=3"), ("f(2)=3", "3")]
    says = [math_verify.verify(*(math_verify.parse(f"${text}$") for text in way)) for way in ways]
    assert says == [True, False]
    assert [same_expression(*way) for way in ways] == [True, True]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (r" $\dfrac{1}{2}$. ", r"\frac{1}{2}"),
        (r"\boxed{\tfrac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
        (r"**\(x = 3\)**", "x = 3"),
        (r"\[ \left( 3,\, 4 \right) \]", "( 3, 4 )"),
        ("$$5$$", "5"),
        (r"$\$5.50$", "5.50"),
        ("−3½", None),
        ("12%", r"12\%"),
        (r"\text{Evelyn}", r"\text{Evelyn}"),
        ("", None),
        ("$", None),
        (r"\frac{1}{", None),
        (r"\frac{1}{2} + \frac{3}{", None),  # a part of it could be read
        ("1+" * 200 + "1", None),
    ],
)
def test_the_text_that_is_kept(text, canonical):
    assert canonical_expression(text) == canonical
    assert canonical is None or canonical_expression(canonical) == canonical


def test_an_answer_gets_the_first_known_text():
    assert known_spelling("0.5", [r"\frac{1}{3}", None, r"\frac{1}{2}", "1/2"]) == r"\frac{1}{2}"
    assert known_spelling("0.5", [r"\frac{1}{3}"]) == "0.5"
    assert known_spelling(None, ["3"]) is None


@pytest.mark.slow
def test_what_takes_too_long_is_not_the_same():
    """The process ends at the limit of its own time, and the next expression starts another."""
    worker = expressions._Worker(seconds=1)
    assert worker.ask(["17", "17.0"])
    first = worker.process
    assert not worker.ask(["9^{9^{9}}+1", "17"])
    assert first.returncode == -signal.SIGXCPU
    assert worker.ask(["17", "17.0"])
    worker._end()


def stand_in(monkeypatch, folder, code: str) -> expressions._Worker:
    """A worker whose process runs `code` for each line; `starts` is how many processes have been started."""
    script = f"""
import os, signal, sys, time
log = open({str(folder / "starts")!r}, "a+")
print("a start", file=log, flush=True)
log.seek(0)
starts = len(log.readlines())
print("true", flush=True)
for line in sys.stdin:
{textwrap.indent(textwrap.dedent(code), "    ")}
"""
    (folder / "stand_in.py").write_text(script)
    monkeypatch.setattr(expressions.math_worker, "__file__", str(folder / "stand_in.py"))
    return expressions._Worker(seconds=1)


def starts(folder) -> int:
    return len((folder / "starts").read_text().splitlines())


@pytest.mark.slow
def test_time_by_the_clock_counts_for_nothing():
    """A process that gets no processor for longer than its seconds, as on a busy machine, still gives its answer."""
    worker = expressions._Worker(seconds=1)
    assert worker.ask(["17", "17.0"])
    process = worker.process
    process.send_signal(signal.SIGSTOP)
    threading.Timer(3, process.send_signal, [signal.SIGCONT]).start()
    assert worker.ask([r"\frac{7}{2}", "3.5"]) and worker.process is process
    worker._end()


@pytest.mark.parametrize(("signal_name", "asked"), [("SIGXCPU", 1), ("SIGKILL", 2), ("SIGSEGV", 2)])
def test_a_process_that_always_ends_says_no(monkeypatch, tmp_path, signal_name, asked):
    """It is asked twice, unless it has taken its time."""
    worker = stand_in(monkeypatch, tmp_path, f"os.kill(os.getpid(), signal.{signal_name})")
    assert not worker.ask(["17", "17.0"])
    assert starts(tmp_path) == asked


def test_a_process_that_is_killed_once_changes_no_answer(monkeypatch, tmp_path):
    once = """
        if starts == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        print("true", flush=True)
    """
    worker = stand_in(monkeypatch, tmp_path, once)
    assert worker.ask(["17", "17.0"]) and starts(tmp_path) == 2
    worker._end()


def test_a_machine_without_time_is_an_error(monkeypatch, tmp_path):
    """Not an answer, which another run might not give."""
    monkeypatch.setattr(expressions, "MOST_SECONDS", 1)
    worker = stand_in(monkeypatch, tmp_path, "time.sleep(60)")
    with pytest.raises(UserError, match=r'comparing \["17", "17.0"\] has not ended in'):
        worker.ask(["17", "17.0"])
    assert worker.process is None


def test_a_process_that_has_ended_is_started_again():
    assert same_expression("19", "19.0")
    expressions._worker.process.kill()
    expressions._worker.process.wait()
    assert same_expression("23", "23.0")


def test_threads_share_the_process():
    """math-verify's own limit of time works in the main thread alone."""
    found = {}

    def compare(n: int):
        found[n] = [same_expression(f"{n}x", f"x \\cdot {n}"), same_expression(f"{n}x", f"{n + 1}x")]

    threads = [threading.Thread(target=compare, args=(n,)) for n in range(301, 309)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [True, False] for n in range(301, 309)}


def test_without_math_verify(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('No module named math_verify')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=r"need the package math-verify \(No module named math_verify\); run"):
        expressions._Worker().ask(["3"])
