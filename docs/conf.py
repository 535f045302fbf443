"""The manual as a site: `make docs` builds it with Sphinx, from Markdown and from docstrings.

The folder of the sources is the repository, so that a link to the README, to an example, or to
another file leads to the same place in the site, in an editor, and on a code host.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

import fake_oauth
from fake_oauth import faults, pytest_plugin

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "fake_oauth"
release = fake_oauth.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "README*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "examples/**/README.md",
    "fixtures/README.md",
]
exclude_patterns = [".*", "build", "dist", "**/node_modules"]

# A link to a section has the anchor that code hosts make from its heading.
myst_heading_anchors = 4

autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 88
# The names of other projects, whose sites may be out of reach, and what only a grant type needs.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|datetime|pathlib|_?pytest|werkzeug)\..*"),
    ("py:class", r"fake_oauth\.provider\.(assertions|issuing|realm|request)\.\w+"),
]

html_theme = "furo"
html_title = f"fake_oauth {release}"
html_static_path = ["site/static"]
html_extra_path = ["site/extra"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

# Docstrings

# The public names, and where links to them lead.
_PUBLIC: Final = {
    **{f"faults.{name}": f"fake_oauth.faults.{name}" for name in dir(faults)},
    **{name: f"fake_oauth.{name}" for name in fake_oauth.__all__},
}
# The names of errors need no backticks; other words can be words.
_ERROR: Final = re.compile(r"\b[A-Z]\w+Error\b")
_DATA: Final = {
    "fake_oauth.ALL_POLICIES": "fake_oauth.provider.policies",
    "fake_oauth.dialects.DIALECTS": "fake_oauth.dialects",
    "fake_oauth.faults.KINDS": "fake_oauth.faults.kinds",
    "fake_oauth.faults.MALFORMED": "fake_oauth.faults.malformed",
}


def _data_docs(name: str) -> list[str]:
    """Return the docstring of a table, which is in the module that defines the table."""
    from sphinx.pycode import ModuleAnalyzer

    analyzer = ModuleAnalyzer.for_module(_DATA[name])
    analyzer.analyze()
    return analyzer.attr_docs["", name.rpartition(".")[2]]


def _write(
    _app: Sphinx, _: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Write a docstring, which is plain text with `code`, as the reStructuredText of autodoc."""
    if name in _DATA:
        lines[:] = _data_docs(name)
    paragraphs = "\n".join(lines).split("\n\n")
    text = "\n\n".join(
        paragraph if paragraph.lstrip().startswith(">>>") else "".join(_inline(paragraph))
        for paragraph in paragraphs
    )
    lines[:] = text.split("\n")


def _inline(paragraph: str) -> Iterator[str]:
    for index, part in enumerate(paragraph.split("`")):
        if index % 2:
            yield _link(part) if part in _PUBLIC else f"``{part}``"
        else:
            yield _ERROR.sub(lambda word: _link(word[0]), re.sub(r"([*|\\])", r"\\\1", part))


def _link(name: str) -> str:
    return f":py:obj:`{name} <{_PUBLIC[name]}>`" if name in _PUBLIC else name


def _sign(
    _app: Sphinx, _: str, name: str, _obj: object, _options: object, given: str, returned: str
) -> tuple[str, str] | None:
    """Write a signature: of a fixture what a test gets, and a new mapping as what it is."""
    if name.startswith("fake_oauth.pytest_plugin."):
        return "()", re.sub(r"^.*Iterator\[(.*)\]$", r"\1", returned)
    return (given.replace("<factory>", "{}"), returned) if given else None


def _import_types(module: ModuleType) -> None:
    """Import what only type checkers import, so that annotations lead to the names in them."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                with suppress(ImportError):
                    exec(ast.unparse(statement), vars(module))  # noqa: S102
    # A table of docs/reference/dialects.md has its seventy names.
    if "Cause" in vars(module):
        vars(module)["Cause"] = str


# Pages in Chinese

# Each two neighboring Chinese characters, also those that overlap.
_PAIR: Final = re.compile(r"(?=([\u4e00-\u9fff]{2}))")


def _search_chinese(app: Sphinx) -> None:
    """Index pairs of Chinese characters in addition to words.

    Chinese has no spaces, so a word of the index is whatever is between two punctuation marks. In
    it, the search finds three characters and more, but most terms have two.
    """
    from sphinx.search.en import SearchEnglish

    class Search(SearchEnglish):
        def split(self, input: str) -> list[str]:  # noqa: A002 - the name in the base class
            return [*super().split(input), *_PAIR.findall(input)]

    app.add_search_language(Search)


def _name_language(
    _app: Sphinx, page: str, _template: str, context: dict[str, object], _doctree: object
) -> None:
    """Say which pages are in Chinese: browsers choose fonts by it, and screen readers voices."""
    if page.startswith("docs/zh/") or page == "README.zh":
        context["language"] = "zh-CN"


def setup(app: Sphinx) -> None:
    """Prepare the package for autodoc, and connect what writes docstrings and signatures."""
    _search_chinese(app)
    for name in ("server", "journal", "provider.dialect", "pytest_plugin"):
        _import_types(import_module(f"fake_oauth.{name}"))
    for name, member in list(vars(pytest_plugin).items()):
        # A fixture is described as the function that it was made of.
        if type(member).__name__ == "FixtureFunctionDefinition":
            setattr(pytest_plugin, name, inspect.unwrap(member))
    app.connect("autodoc-process-docstring", _write)
    app.connect("autodoc-process-signature", _sign)
    app.connect("html-page-context", _name_language)
