"""Studies: one question put to `emu fit` many times over, its arms run as processes and compared with intervals.

    emu study needles --out runs/studies/needles

A study is a YAML file: a base config, arms that each override some of its keys, and seeds.
"""
