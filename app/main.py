"""The app as a live Panel session: the laboratory, or all figures for `server_document` and other embedders.

Readers of the article never come here: `serving.py` answers them with the site, which needs no session.
"""

import panel as pn
from bokeh.io import curdoc

from app import laboratory, serving
from widgets import FIGURES

if pn.state.session_args.get("figure", [b""])[-1].decode() == serving.LABORATORY:
    laboratory.serve(curdoc())
else:
    pn.Column(*(figure() for figure in FIGURES), sizing_mode="stretch_width").servable(title="Batch Normalization")
