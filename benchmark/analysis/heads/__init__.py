"""Attention heads and backdoors: what their similarity shows, which of them to align, what each is worth.

similarity.py   how alike a layer's heads are on a text: one number for each head (docs/heads.md)
anomaly.py      how unusual that is beside clean texts of like length, and which heads are contaminated
ranking.py      how well scores tell poisoned rows from clean ones
controls.py     texts that are unusual without being triggered
detect.py, align.py, ablate.py    the three commands; report.py and drawing.py show what they found
"""
