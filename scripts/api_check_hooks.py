"""What schemathesis must be told: ids of runs that exist, and what components are."""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

RUNS = os.environ["RUNS"].split()
GUESTS = [path.read_bytes() for path in map(Path, os.environ["GUESTS"].split())]

schemathesis.openapi.format("uuid", st.sampled_from(RUNS) | st.uuids().map(str))

whole = st.sampled_from(GUESTS)
cut = whole.flatmap(lambda wasm: st.integers(0, len(wasm)).map(lambda end: wasm[:end]))
schemathesis.openapi.media_type("application/wasm", whole | cut | st.binary())


@schemathesis.serializer("application/wasm")
def wasm(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
