"""What schemathesis must be told to send components: whole ones, damaged ones and none."""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

GUESTS = [path.read_bytes() for path in map(Path, os.environ["GUESTS"].split())]

whole = st.sampled_from(GUESTS)
cut = whole.flatmap(lambda wasm: st.integers(0, len(wasm)).map(lambda end: wasm[:end]))

schemathesis.openapi.media_type("application/wasm", whole | cut | st.binary())


@schemathesis.serializer("application/wasm")
def wasm(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
