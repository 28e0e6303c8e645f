"""The figures as a live Panel session: what `server_document` and other embedders of the app get.

Readers of `/app` never come here: `serving.py` answers them with the site, which needs no session.
"""

import panel as pn

from widgets import FIGURES

pn.Column(*(figure() for figure in FIGURES), sizing_mode="stretch_width").servable(title="Batch Normalization")
