"""The reference page of presets is written from the presets."""

import re
import subprocess
import sys
from pathlib import Path

from datalad_s3ext.providers.load import PACKAGED

DOCS = Path(__file__).parents[3] / "docs"


def test_page_has_a_section_for_every_preset(tmp_path: Path) -> None:
    target = tmp_path / "reference" / "generated"

    subprocess.run([sys.executable, DOCS / "generate_presets.py", target], check=True)

    page = (target / "presets.rst").read_text("utf-8")
    ids = [path.stem for path in PACKAGED.glob("*.toml")]
    assert sorted(re.findall(r"^\.\. _preset-(.+):$", page, re.MULTILINE)) == sorted(ids)
    assert sorted(re.findall(r"<preset-(.+)>", page)) == sorted(ids)
    for line in (
        ":Endpoint: https://s3ds.mdx.jp\n",
        ":Can: anonymous read\n",
        ":Signed for: oss-{region}\n",
        "  * unconfirmed\n",
        "  * ETag does not tell the MD5 for one request, several parts\n",
        ":Storage classes: STANDARD, ONEZONE\\_IA, GLACIER (needs a restore)\n",
    ):
        assert line in page
