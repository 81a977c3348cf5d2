"""Attention heads and backdoors: what their similarity shows, which of them to align, the effect of each.

similarity.py   mean similarity of a layer's heads on a text: one number for each head (docs/heads.md)
anomaly.py      how unusual that is beside clean texts of similar length, and which heads are contaminated
roc.py          how well scores separate poisoned rows from clean ones
controls.py     texts that are unusual without being triggered
detect.py, align.py, ablate.py    the three commands
records.py, results.py    their results as objects, and how they are read
tables.py, aggregate.py, pictures.py, plots.py    how they are shown
"""
