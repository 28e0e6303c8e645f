"""The sources of the article: as words in the text, as the numbered list at its end, and as BibTeX."""

from __future__ import annotations

import re
from html import escape

from bn_core.published import SOURCES, Source

VENUES = {
    "BN": "International Conference on Machine Learning, 2015",
    "S": "Advances in Neural Information Processing Systems, 2018",
    "Y": "International Conference on Learning Representations, 2019",
    "GN": "European Conference on Computer Vision, 2018",
    "ILSVRC": "International Journal of Computer Vision 115(3), 2015",
    "K": "Blog post, updated February 2015",
    "A": "International Conference on Learning Representations, 2019",
    "B": "Advances in Neural Information Processing Systems, 2018",
    "PH": "IEEE International Conference on Big Data, 2020",
    "BRN": "Advances in Neural Information Processing Systems, 2017",
    "Sh": "Journal of Statistical Planning and Inference 90(2), 227–244",
    "GB": "International Conference on Artificial Intelligence and Statistics, 249–256",
    "He": "IEEE International Conference on Computer Vision, 2015",
}
"""Where each was published, beside arXiv where it is there; two appeared on arXiv alone."""

DOI = "https://doi.org/"

EXPLAINER_BIBTEX = """\
@misc{batchnormexplainer2026,
  title = {{Batch Normalization: an explanation you can move}},
  author = {{The Batch Norm Explainer authors}},
  year = {2026},
  howpublished = {Interactive article}
}
"""


def surname(author: str) -> str:
    """The name by which an author is cited: the last word, with the particles in front of it.

    >>> surname("Twan van Laarhoven"), surname("Kilian Q. Weinberger")
    ('van Laarhoven', 'Weinberger')
    """
    words = author.split()
    first = next((k for k, word in enumerate(words) if word[0].islower()), len(words) - 1)
    return " ".join(words[first:])


def author_year(source: Source) -> str:
    """Who and when, for the running text.

    >>> author_year(SOURCES["BN"]), author_year(SOURCES["S"])
    ('Ioffe & Szegedy 2015', 'Santurkar et al. 2018')
    """
    names = [surname(author) for author in source.authors]
    who = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{who} {source.year}"


def cite(key: str, where: str = "", words: str = "") -> str:
    """A link to a source in the list; `words` stand in the place of who and when."""
    text = words or author_year(SOURCES[key])
    # The place stays in one piece: "sec. 3.3" is not broken between two lines.
    place = where.replace(" ", "\u00a0")
    return f'<a class="cite" href="#ref-{key}">{escape(", ".join(filter(None, (text, place))))}</a>'


def reference_list() -> str:
    """The numbered list: authors, year, title, venue, links."""
    items = []
    for source in sorted(SOURCES.values(), key=lambda each: (surname(each.authors[0]).lower(), each.year)):
        names = [escape(name) for name in source.authors]
        who = ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
        venue = f"{escape(VENUES[source.key])}. " if source.key in VENUES else ""
        items.append(
            f'<li id="ref-{source.key}">{who} ({source.year}). '
            f"<cite>{escape(source.title)}</cite>{'' if source.title.endswith('?') else '.'} {venue}"
            f'<a href="{escape(source.url)}">{escape(_link_words(source))}</a></li>'
        )
    return '<ol class="references">\n' + "\n".join(items) + "\n</ol>"


def bibtex() -> str:
    """All sources as BibTeX entries, and the explainer itself."""
    return "\n".join([*(_entry(source) for source in SOURCES.values()), EXPLAINER_BIBTEX])


def _link_words(source: Source) -> str:
    if source.arxiv:
        return f"arXiv:{source.arxiv}"
    return source.url.replace(DOI, "doi:") if DOI in source.url else source.url.split("/")[2]


def _entry(source: Source) -> str:
    """One entry, of the version that is cited; where else it appeared is its note."""
    first_word = next(word for word in re.findall(r"[a-z\d]+", source.title.lower()) if len(word) > 3)
    name = re.sub(r"[^a-z]", "", surname(source.authors[0]).lower())
    fields = {
        "title": f"{{{source.title}}}",  # the second braces keep its capitals
        "author": " and ".join(source.authors),
        "year": str(source.year),
        "url": source.url,
    }
    if source.arxiv:
        fields |= {"eprint": source.arxiv, "archiveprefix": "arXiv"}
    if DOI in source.url:
        fields["doi"] = source.url.removeprefix(DOI)
    if source.key in VENUES:
        fields["note"] = VENUES[source.key].replace("–", "--")
    lines = ",\n".join(f"  {field} = {{{value}}}" for field, value in fields.items())
    return f"@misc{{{name}{source.year}{first_word},\n{lines}\n}}\n"
