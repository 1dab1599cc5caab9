"""Settings of the documentation site: ``make docs`` builds it, without a network."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import timesad
from timesad._base import BaseSeriesDetector

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"

project = "timesad"
author = "The timesad developers"
project_copyright = author
version = release = timesad.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/*.ipynb"]
templates_path = ["_templates"]

# Markdown. An anchor for each heading down to level 4, as a git forge makes them.
myst_heading_anchors = 4

# API reference, from the docstrings. A name in single backticks is a link where it names an object of timesad, and code
# where it does not, so `-n` must not ask for a target.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", r"timesad\.nn\.fused\..*")]
autodoc_typehints = "none"  # the docstrings name types
autodoc_inherit_docstrings = False  # torch has one for each `forward`
autosummary_generate = True
numpydoc_show_class_members = False  # the template has them
toc_object_entries_show_parents = "hide"

# The scripts that take arguments or run for minutes are shown and not run.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/(?!demo|live_stream|record_host_telemetry)\w+\.py$",
    "backreferences_dir": "api/examples",
    "doc_module": ("timesad",),
    "default_thumb_file": str(DOCS / "_static" / "logo.svg"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 3600,  # seconds
}

html_theme = "pydata_sphinx_theme"
html_title = "timesad"
html_favicon = "_static/logo.svg"
html_logo = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_sidebars = {"**": ["sidebar-nav-bs"], "changes": [], "index": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "timesad"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": ["version.html"],
    "pygments_dark_style": "github-dark",
}

html_math_renderer = "mathml"  # of the browser: no script from another server

# Links between files of the repository work on a git forge; here they lead to the pages that show these files.
PAGES = {
    "README.md": "index.md",
    "README.md#how-its-alarms-are": "quality.md#how-its-alarms-are",
    "README.md#how-well-it-detects": "quality.md",
    "README.md#what-to-expect": "expect.md",
    "README.md#which-detector-which-parameters": "choose.md",
    "CHANGELOG.md": "changes.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "gallery/index.rst",
}
CHINESE_BREAK = re.compile(r"(?<=[⺀-鿿。，])\n *(?=[⺀-鿿])")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]+)?")


def link_to_pages(text: str, folder: Path, page: Path) -> str:
    """Text of a Markdown file in `folder`, with links as they must be on `page`."""

    def target(link: re.Match[str]) -> str:
        path, fragment = os.path.relpath(folder / link[1], REPOSITORY), link[2] or ""
        if not (REPOSITORY / path).exists():  # code such as `scorers[0](X)`
            return link[0]
        if path.startswith("examples/") and path.endswith(".py"):
            path = f"docs/gallery/{Path(path).stem}.rst"
        shown = PAGES.get(path + fragment) or (PAGES[path] + fragment if path in PAGES else None)
        return os.path.relpath(DOCS / shown if shown else REPOSITORY / (path + fragment), page.parent)

    return LINK.sub(target, text)


def on_read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Adapt the links of a page, and join lines that a browser would join with a space."""
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        content[0] = CHINESE_BREAK.sub("", link_to_pages(content[0], page.parent, page))


def on_include(app: Sphinx, path: Path, _: str, content: list[str]) -> None:
    """Adapt the links of a file that a page includes."""
    if path.suffix == ".md":
        content[0] = link_to_pages(content[0], (DOCS / path).parent, Path(app.env.doc2path(app.env.docname)))


def on_signature(app: Sphinx, what: str, name: str, obj: Any, *_: object) -> tuple[str, str] | None:
    """Parameters of a detector: autodoc reads `__new__` first, which has none by name."""
    if not (isinstance(obj, type) and issubclass(obj, BaseSeriesDetector)):
        return None
    signature = inspect.signature(obj)
    parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty)), ""


def skip_member(app: Sphinx, what: str, name: str, obj: Any, *_: object) -> bool | None:
    """Leave out fields of named tuples, which the docstring of the class has."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def visit_math(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML."""
    as_block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=as_block)
    translator.body.append(f'<div class="formula">{formula}</div>' if as_block else formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", on_read)
    app.connect("include-read", on_include)
    app.connect("autodoc-process-signature", on_signature)
    app.connect("autodoc-skip-member", skip_member)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
