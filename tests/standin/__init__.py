"""A stand-in for a host that speaks the OpenAI API, for tests: nothing leaves the machine and every truth is known.

host.py      StandIn: the host in a thread of the test, or `python -m standin.host` in a process of its own
remote.py    Remote: the host in a process of its own, told and asked by the same methods
orders.py    what a test can tell either of them, and settings.py what it can set
reception.py every request's way: written down, checked, spoilt, passed on to what answers
faults.py    what goes wrong on demand
journal.py   what the host was asked, and what it charged for
speaking.py  chat completions and completions
filing.py    files
batching.py  batches, and batch_lines.py their input and results
training.py  fine-tuning jobs, and examples.py their files
shapes.py    refusals and lists as the API words them
wire.py      HTTP/1.1 over asyncio
"""
