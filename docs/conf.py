"""Sphinx configuration. Pages that repeat what the code says are generated at each build."""

import shutil
import sys
from pathlib import Path

import datalad_s3ext

DOCS = Path(__file__).resolve().parent


project = "datalad-s3ext"
author = "the datalad-s3ext developers"
copyright = f"2026, {author}"
version = release = datalad_s3ext.__version__

extensions = []
exclude_patterns = ["_build", "changelog.d", "reference/generated/*"]
html_theme = "alabaster"
html_theme_options = {
    "description": "DataLad and git-annex data sets on S3-compatible storage",
    "fixed_sidebar": True,
}
smartquotes = False
highlight_language = "console"

GENERATED = DOCS / "reference" / "generated"


def generate(_app):
    """Write the generated pages anew; one that cannot be written fails the build."""
    sys.path.insert(0, str(DOCS))
    import generate_commands
    import generate_errors
    import generate_presets
    import generate_settings

    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir(parents=True)
    generate_commands.write_commands(GENERATED / "commands.rst")
    generate_settings.write_settings(GENERATED / "remote-parameters.rst")
    generate_presets.write_presets(GENERATED)
    generate_errors.write_errors(GENERATED / "errors.rst")


def setup(app):
    """Generate before Sphinx looks which pages there are."""
    app.connect("builder-inited", generate)
