"""The reference page of presets is written from the presets."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_page_has_a_section_for_every_preset(tmp_path: Path) -> None:
    target = tmp_path / "reference" / "generated"

    subprocess.run([sys.executable, DOCS / "generate_presets.py", target], check=True)

    page = (target / "presets.rst").read_text("utf-8")
    for preset_id in ("aws", "mdx", "onyxia", "seaweedfs", "other"):
        assert f".. _preset-{preset_id}:\n" in page
    assert ":Endpoint: https://s3ds.mdx.jp\n" in page
    assert ":Conditional put: unknown\n" in page
