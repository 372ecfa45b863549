"""The review: people choose the needles from what the funnel left, in passes, and write their captions.

Raters, links, sessions and the guard are those of every page of the desk; tables, rules and the page are its own.
"""
