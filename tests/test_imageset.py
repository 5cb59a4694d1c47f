"""Image sets: what travels through the stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olrunbook.errors import UsageError
from olrunbook.project.imageset import format_images, parse_images

AMI = st.text("0123456789abcdef", min_size=17, max_size=17).map(lambda x: f"ami-{x}")


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True), AMI, min_size=1)
)
def test_what_is_formatted_is_parsed_again(images: dict[str, str]) -> None:
    """An image set survives being written and read."""
    assert parse_images(format_images(images), list(images)) == images


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ami-0df7e95b351bd8408", "node_type="),
        ("server=ami-XYZ", "node_type="),
        ("server=", "node_type="),
        ("web=ami-0df7e95b351bd8408", "the app has"),
        ("server=ami-0df7e95b351bd8408,server=ami-0df7e95b351bd8409", "twice"),
    ],
)
def test_a_wrong_image_set_is_named(text: str, says: str) -> None:
    """Each kind of mistake is told in words."""
    with pytest.raises(UsageError, match=says):
        parse_images(text, ["server"])
